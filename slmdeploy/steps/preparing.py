"""What an export needs before it starts, so that mistakes are told before work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from slmdeploy.compress.recipe import Recipe, load_recipe
from slmdeploy.errors import UsageError
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.request import ModelRequest
from slmdeploy.places import find_project
from slmdeploy.progress import Progress
from slmdeploy.steps.outcomes import Exported
from slmdeploy.target.load import load_target
from slmdeploy.target.profile import TargetProfile, with_recipe
from slmdeploy.target.recipes import fitted, refusal

if TYPE_CHECKING:
    from slmdeploy.steps.workbench import Workbench

__all__ = ["Preparation"]


@dataclass(frozen=True)
class Preparation:
    """A model and the wishes of one command, for any number of targets.

    Attributes:
        asked: The model, as it was named.
        recipe: Name or file; ``None`` for each target's own.
        output: Folder of bundles; ``None`` for the project's.
        several: There is more than one target: keep what was read and compressed.
        targets: All of them: where one holds its floats in float16, one recipe for all does.
    """

    asked: ModelRequest
    recipe: str | None
    context: int | None
    output: Path | None
    verify: bool
    fetch: bool
    targets_dirs: tuple[Path, ...]
    dry_run: bool
    progress: Progress
    several: bool = False
    targets: tuple[str, ...] = ()

    @cached_property
    def model(self) -> Model:
        """The model, read once for all targets."""
        found = read_model(self.asked.ref(), fetch=self.fetch, progress=self.progress)
        if self.asked.labelled is not None and found.task != "classification":
            raise UsageError(f"{found.name} is no classifier of texts, so none can be labelled.")
        if self.asked.lengths and found.kind == "decoder":
            raise UsageError(
                f"{found.name} writes text: it has a cache, and no lengths.",
                hint="Run again without --lengths; --context says what the cache holds.",
            )
        return found

    @cached_property
    def variants(self) -> dict[str | None, Model]:
        """The model as it is, or with each of its adapters merged, by their names."""
        if not self.asked.adapters:
            return {None: self.model}
        from slmdeploy.model.adapters import merged

        adapters = self.asked.adapters.items()
        return {name: merged(self.model, name, folder) for name, folder in adapters}

    @cached_property
    def bench(self) -> dict[str | None, Workbench]:
        """What is read and compressed once for all targets, by adapter."""
        from slmdeploy.steps.workbench import Workbench

        return {name: Workbench(one, keep=self.several) for name, one in self.variants.items()}

    def subjects(self, targets: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """What each bundle is called, with its target and adapter."""
        if not self.asked.adapters:
            return {target: (target, None) for target in targets}
        return {
            f"{target} with {name}": (target, name)
            for name in self.asked.adapters
            for target in targets
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "bench" in self.__dict__:
            for bench in self.bench.values():
                bench.close()

    def profile(self, target: str) -> tuple[TargetProfile, Recipe]:
        """A target's profile with the recipe that was asked for."""
        profile = load_target(target, self.targets_dirs)
        recipe = profile.recipe if self.recipe is None else self.shared_recipe(self.recipe)
        profile = with_recipe(profile, recipe)
        return profile, profile.recipe

    def shared_recipe(self, name: str) -> Recipe:
        """The recipe that was asked for, as all targets can have it of one compressed model."""
        recipe = load_recipe(name)
        profiles = [load_target(target, self.targets_dirs) for target in self.targets]
        for profile in profiles:
            if refusal(profile.runtime, recipe, profile.export) is None:
                recipe = fitted(profile.runtime, recipe, profile.export)
        return recipe

    def export(self, target: str, adapter: str | None = None) -> Exported:
        """Export for one target, or with ``dry_run`` say what would be made.

        Raises:
            SlmdeployError: The profile, the model or the recipe is at fault.
        """
        from slmdeploy.steps.exporting import bundle_name, export_model, plan_export

        profile, recipe = self.profile(target)
        output = self.output or find_project().bundles_dir
        model = self.variants[adapter]
        if self.dry_run:
            plan_export(model, profile, recipe, self.context, output)
            place = output / bundle_name(model.name, profile.name)
            return Exported(bundle=place, manifest=None, recipe=recipe.name)
        return export_model(
            model,
            profile,
            recipe=recipe,
            context=self.context,
            output=output,
            verify=self.verify,
            bench=self.bench[adapter],
            progress=self.progress,
        )
