"""What MLflow holds: runs, registered versions, the gate and promotion."""
