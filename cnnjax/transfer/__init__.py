"""Transfer learning as operations on stage names."""

from cnnjax.transfer.audit import FreezeAudit, StageAudit, assert_frozen, freeze_audit
from cnnjax.transfer.decision_tables import DECISIONS, Decision, Recommendation, recommend
from cnnjax.transfer.feature_store import FeatureStore
from cnnjax.transfer.features import feature_bytes, pooled_features, prefix_features
from cnnjax.transfer.frozen import Trained, train_behind_prefix
from cnnjax.transfer.heads import Head, new_head
from cnnjax.transfer.probes import Probe, probe
from cnnjax.transfer.recipes import Recipe
from cnnjax.transfer.stacked import (
    Joined,
    StackedTrained,
    join,
    train_stacked_behind_prefix,
)
from cnnjax.transfer.strategies import CaseResult, fine_tune, from_scratch, predict_as_is
from cnnjax.transfer.surgery import first_stages, initialise, transplant, variable_shapes

__all__ = [
    "DECISIONS",
    "CaseResult",
    "Decision",
    "FeatureStore",
    "FreezeAudit",
    "Head",
    "Joined",
    "Probe",
    "Recipe",
    "Recommendation",
    "StackedTrained",
    "StageAudit",
    "Trained",
    "assert_frozen",
    "feature_bytes",
    "fine_tune",
    "first_stages",
    "freeze_audit",
    "from_scratch",
    "initialise",
    "join",
    "new_head",
    "pooled_features",
    "predict_as_is",
    "prefix_features",
    "probe",
    "recommend",
    "train_behind_prefix",
    "train_stacked_behind_prefix",
    "transplant",
    "variable_shapes",
]
