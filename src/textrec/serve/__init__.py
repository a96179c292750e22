"""The HTTP service and its web page (extra `serve`); `serve.app` builds it, nothing happens at import."""
