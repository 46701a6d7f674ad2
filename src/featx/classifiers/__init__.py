"""Classifiers by name, as scikit-learn pipelines of a scaler and a classifier, with their hyperparameters.

Every classifier sees standardised features: deep features differ in scale by orders of magnitude, and penalties,
kernels and distances weigh every feature by its scale.

A `Blueprint` says what is fitted; a solver (`Direct` and those built on it) fits it for many hyperparameters on the
same rows, sharing what they have in common; `fit_pipeline` gives the pipeline that a model keeps. scikit-learn is
imported where it is used: the command line reads names and defaults without waiting for it.
"""

from featx.classifiers.blueprint import Blueprint, check_penalty, make_classifier
from featx.classifiers.convergence import convergence_logged
from featx.classifiers.features import ROWS_AT_ONCE, check_features
from featx.classifiers.recipes import Axis, Params, Recipe
from featx.classifiers.scores import Verdict, class_probabilities, class_scores, has_probabilities, judge
from featx.classifiers.table import RECIPES, find_recipe, weighing


def trusted_steps() -> tuple[type, ...]:
    """List the types of steps that a model file may hold."""
    from featx.classifiers.steps import STEPS

    return tuple(dict.fromkeys((*STEPS, *(kind for recipe in RECIPES.values() for kind in recipe.types))))


__all__ = [
    "RECIPES",
    "ROWS_AT_ONCE",
    "Axis",
    "Blueprint",
    "Params",
    "Recipe",
    "Verdict",
    "check_features",
    "check_penalty",
    "class_probabilities",
    "class_scores",
    "convergence_logged",
    "find_recipe",
    "has_probabilities",
    "judge",
    "make_classifier",
    "trusted_steps",
    "weighing",
]
