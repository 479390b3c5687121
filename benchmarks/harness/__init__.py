"""What benchmarks share: engines and their workers, exports, loads, prompts, figures, results."""
