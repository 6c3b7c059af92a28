"""What ships: the student's file with its facts, an ONNX model and a model card."""
