"""What people would use instead, each as its own documentation has it; all on the same servers as ours."""
