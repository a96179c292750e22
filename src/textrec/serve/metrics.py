"""Counters for Prometheus, one registry an app."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from textrec.serve.service import Service

__all__ = ["Metrics"]

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """What is counted."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("textrec_requests", "Requests answered.", ["method", "route", "status"], registry=own)
        self.seconds = Histogram("textrec_request_seconds", "Time to answer.", ["route"], buckets=BUCKETS, registry=own)
        self._reloads_told = 0
        self.reloads = Counter("textrec_reloads", "Model folders taken over.", registry=own)
        self.items = Gauge("textrec_items", "Items that can be recommended.", ["source"], registry=own)
        self.users = Gauge("textrec_users", "Users that can be recommended to.", ["source"], registry=own)

    def text(self, service: Service) -> bytes:
        """The counters in Prometheus' text format."""
        live = service.live
        self.reloads.inc(service.reloads - self._reloads_told)
        self._reloads_told = service.reloads
        self.items.labels("model").set(len(live.table.catalogue))
        self.items.labels("added").set(len(live.table.added))
        self.users.labels("model").set(live.model.data.n_users)
        self.users.labels("solved").set(len(live.solved))
        return generate_latest(self.registry)
