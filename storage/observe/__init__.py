"""What a part tells about itself: logs, metrics, traces."""
