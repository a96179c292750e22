"""Plain text from titles and abstracts that carry LaTeX and HTML leftovers.

The rules are regular expressions over whole columns; what they do not know keeps its words and loses its braces.
"""

from __future__ import annotations

import html

import polars as pl

__all__ = ["clean_latex"]

_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a",
}  # fmt: skip
"""Accent command → the combining character that follows the letter."""

_SYMBOLS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł",
    "i": "ı", "j": "ȷ", "textendash": "–", "textemdash": "—", "textgreater": ">", "textless": "<", "textbackslash": " ",
    "ldots": "…", "dots": "…", "cdots": "…", "times": "×", "pm": "±", "sim": "~", "approx": "≈", "leq": "≤", "le": "≤",
    "geq": "≥", "ge": "≥", "neq": "≠", "in": "∈", "to": "→", "infty": "∞", "ell": "ℓ", "sum": "∑", "copyright": "©",
    "grqq": "“", "glqq": "„", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip

_FONTS = r"emph|text(?:it|bf|rm|sc|tt|sf|sl)|math[a-z]+|it|em|bf|sc|rm|tt|sl|Bbb|scr|cal"


def clean_latex(texts: pl.Series) -> pl.Series:
    r"""Texts without LaTeX: accents and symbols as characters, no braces, no font commands; HTML entities resolved.

    Both `\'{a}` and `\{\'a\}` become `á`, `{C}onvergent` becomes `Convergent`, `\&` becomes `&`.

    Args:
        texts: String column [n].

    Returns:
        String column [n] of the same name, stripped of white space at both ends.

    >>> clean_latex(pl.Series([r"Barab\{\'a\}si \& {C}o"])).to_list()
    ['Barabási & Co']
    """
    marked = texts.str.contains(r"[\\{}$]").fill_null(False)
    cleaned = texts
    if marked.any():
        cleaned = texts.scatter(marked.arg_true(), _without_commands(texts.filter(marked)))
    entities = cleaned.str.contains(r"&#?\w+").fill_null(False)
    if entities.any():
        cleaned = cleaned.scatter(entities.arg_true(), [html.unescape(text) for text in cleaned.filter(entities)])
    return cleaned.str.strip_chars().alias(texts.name)


def _without_commands(texts: pl.Series) -> pl.Series:
    text = texts.str.replace_all(r"\\{2,}", "\\").str.replace_all(r"\\([{}])", "$1")
    for command, mark in _ACCENTS.items():
        before = rf"\\{command}(?:\s+|\s*\{{\s*|\\)" if command.isalpha() else rf"\\\{command}\s*(?:\{{\s*)?"
        text = text.str.replace_all(rf"{before}\\?([A-Za-z])\}}?", f"${{1}}{mark}")
    text = text.str.replace_all(rf"\\(?:{_FONTS})(?:\b\s*|\s*\{{)", "").str.replace_all(r"\\cite\s*\{[^{}]*\}", "")
    for command, symbol in _SYMBOLS.items():
        space = r"\s?" if symbol.isalpha() and symbol < "\u0250" else ""  # a letter swallows the space after it
        text = text.str.replace_all(rf"\\{command}(?:\b|_){space}", symbol)
    text = text.str.replace_all(r"\\char64", "@").str.replace_all(r"\\([%&$#_])", "$1").str.replace_all(r"[{}]", "")
    text = text.str.replace_all(r"\$([^\s$\d](?:[^$\n]{0,80}[^\s$])?)\$", "$1")  # $x$ is mathematics, $8 is money
    return text.str.replace_all(r"\\([A-Za-z])", "$1").str.replace_all(r"\\", " ").str.normalize("NFC")
