"""What an export needs before it starts, so that mistakes are told before work is done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from slmdeploy.compress.recipe import Recipe, load_recipe
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.places import find_project
from slmdeploy.progress import Progress
from slmdeploy.steps.outcomes import Exported
from slmdeploy.target.load import load_target
from slmdeploy.target.profile import TargetProfile, with_recipe

if TYPE_CHECKING:
    from slmdeploy.steps.workbench import Workbench

__all__ = ["Preparation"]


@dataclass(frozen=True)
class Preparation:
    """A model and the wishes of one command, for any number of targets.

    Attributes:
        text: The model, as it was named.
        recipe: Name or file; ``None`` for each target's own.
        output: Folder of bundles; ``None`` for the project's.
        several: There is more than one target: keep what was read and compressed.
    """

    text: str
    recipe: str | None
    context: int | None
    output: Path | None
    verify: bool
    fetch: bool
    targets_dirs: tuple[Path, ...]
    dry_run: bool
    progress: Progress
    several: bool = False

    @cached_property
    def model(self) -> Model:
        """The model, read once for all targets."""
        return read_model(parse_ref(self.text), fetch=self.fetch, progress=self.progress)

    @cached_property
    def bench(self) -> Workbench:
        """What is read and compressed once for all targets."""
        from slmdeploy.steps.workbench import Workbench

        return Workbench(self.model, keep=self.several)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "bench" in self.__dict__:
            self.bench.close()

    def profile(self, target: str) -> tuple[TargetProfile, Recipe]:
        """A target's profile with the recipe that was asked for."""
        profile = load_target(target, self.targets_dirs)
        if self.recipe is not None:
            profile = with_recipe(profile, load_recipe(self.recipe))
        return profile, profile.recipe

    def export(self, target: str) -> Exported:
        """Export for one target, or with ``dry_run`` say what would be made.

        Raises:
            SlmdeployError: The profile, the model or the recipe is at fault.
        """
        from slmdeploy.steps.exporting import bundle_name, export_model, plan_export

        profile, recipe = self.profile(target)
        output = self.output or find_project().bundles_dir
        if self.dry_run:
            plan_export(self.model, profile, recipe, self.context, output)
            place = output / bundle_name(self.model.name, profile.name)
            return Exported(bundle=place, manifest=None, recipe=recipe.name)
        return export_model(
            self.model,
            profile,
            recipe=recipe,
            context=self.context,
            output=output,
            verify=self.verify,
            bench=self.bench,
            progress=self.progress,
        )
