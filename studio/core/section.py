"""What the parts of an experiment are made of: frozen models whose fields carry label, help, unit and the moment of effect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Takes = Literal["live", "next epoch", "new run"]


def field(default: Any, label: str, help_: str, *, takes: Takes = "new run", unit: str = "", log: bool = False, **bounds):
    """A field whose label, help, unit, scale and moment of effect the forms and the reference page show."""
    extra = {"label": label, "unit": unit, "takes": takes, "log": log}
    return Field(default, description=help_, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
