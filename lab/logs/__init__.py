"""Programs that show a run while it is trained: TensorBoard, Weights & Biases, MLflow."""
