"""Recipes, and what applies them."""
