"""What ships: the student's file with all there is to know of it, an ONNX model, a model card."""
