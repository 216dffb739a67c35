"""Proxies: the small language models, their training and evaluation. torch."""
