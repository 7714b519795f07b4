"""Layers that ONNX has whole."""
