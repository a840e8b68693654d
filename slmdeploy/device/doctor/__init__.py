"""What is checked of this computer and of boards, before anything is pushed."""
