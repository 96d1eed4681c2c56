"""How good a candidate is: videos, prepared clips, recipe, training, evaluation."""
