"""What can be learned from recorded runs alone: choosers cloned, weighted and conservative, judged before they run."""
