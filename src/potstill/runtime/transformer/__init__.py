"""Students that are small Transformers, in onnxruntime; imported only for their files, as they require an extra."""
