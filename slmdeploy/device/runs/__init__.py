"""What runs on a board: jobs, the lease, settings that are put back."""
