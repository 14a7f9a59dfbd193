"""Policies compared: what their episodes say, world by world, and one page that shows it."""
