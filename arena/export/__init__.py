"""Networks as ONNX files, verified against PyTorch, for programs that have no PyTorch."""
