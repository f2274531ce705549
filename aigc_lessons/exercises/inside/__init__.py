"""What runs inside the grader's sandbox, this folder and nothing else of the course: torch, NumPy and safetensors only."""
