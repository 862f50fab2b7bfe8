"""The laboratory: models, objectives, training, stored runs, decoding and analyses.

The names below are public, for notebooks and for objectives and analyses of other packages.

    from lab import Objective, ObjectiveConfig, Term

    run = lab.train("run.toml")
    run = lab.load_run("0b3c")
    run.network, run.task, run.scores["test"]["accuracy"]
"""

from typing import TYPE_CHECKING

from lab.shadows import check_rooms

check_rooms()  # before anything of the lab is imported

if TYPE_CHECKING:
    from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
    from lab.analysis.estimators.linear_probes import LinearProbe, ProbeData, fit_probe
    from lab.analysis.table import ANALYSES
    from lab.decoding.decoder import Decoded, decode
    from lab.loss.graph import Graph
    from lab.loss.term import Term
    from lab.model.batches import Targets, TensorBatch
    from lab.model.cache import TrunkCache
    from lab.model.caches.by_position import PositionCache
    from lab.model.config import AttentionConfig, DataShape, ModelConfig, ModelShape, SizedConfig
    from lab.model.layers import Block
    from lab.model.table import MODELS, build_trunk
    from lab.model.trunk import Trunk
    from lab.model.trunks.llama import LlamaConfig
    from lab.model.weights import count_parameters
    from lab.model.windows import Window
    from lab.objectives.check import check_model, check_objective
    from lab.objectives.objective import NextTokenModel, NextTokenPath, Objective, ObjectiveConfig, RunLayers
    from lab.objectives.table import OBJECTIVES, build_objective
    from lab.reading.loaded_run import LoadedRun, load_run, train
    from lab.run.assembly import RunParts, assemble
    from lab.run.evaluation import Evaluator
    from lab.run.spec import RunSpec, TrainingConfig, parse_spec, read_spec
    from lab.run.step import OptimiserStep
    from lab.run.store import RunFolder
    from lab.run.stored_run import StoredRun
    from lab.run.training_data import training_batches
else:
    from generators.foundation.lazy import lazy_exports

    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.analysis.analysis": ("Analysis", "AnalysisResult", "Findings", "MeasureInfo"),
            "lab.analysis.estimators.linear_probes": ("LinearProbe", "ProbeData", "fit_probe"),
            "lab.analysis.table": ("ANALYSES",),
            "lab.decoding.decoder": ("Decoded", "decode"),
            "lab.loss.graph": ("Graph",),
            "lab.loss.term": ("Term",),
            "lab.model.batches": ("Targets", "TensorBatch"),
            "lab.model.cache": ("TrunkCache",),
            "lab.model.caches.by_position": ("PositionCache",),
            "lab.model.config": ("AttentionConfig", "DataShape", "ModelConfig", "ModelShape", "SizedConfig"),
            "lab.model.layers": ("Block",),
            "lab.model.table": ("MODELS", "build_trunk"),
            "lab.model.trunk": ("Trunk",),
            "lab.model.trunks.llama": ("LlamaConfig",),
            "lab.model.weights": ("count_parameters",),
            "lab.model.windows": ("Window",),
            "lab.objectives.check": ("check_model", "check_objective"),
            "lab.objectives.objective": (
                "NextTokenModel",
                "NextTokenPath",
                "Objective",
                "ObjectiveConfig",
                "RunLayers",
            ),
            "lab.objectives.table": ("OBJECTIVES", "build_objective"),
            "lab.reading.loaded_run": ("LoadedRun", "load_run", "train"),
            "lab.run.assembly": ("RunParts", "assemble"),
            "lab.run.evaluation": ("Evaluator",),
            "lab.run.spec": ("RunSpec", "TrainingConfig", "parse_spec", "read_spec"),
            "lab.run.step": ("OptimiserStep",),
            "lab.run.store": ("RunFolder",),
            "lab.run.stored_run": ("StoredRun",),
            "lab.run.training_data": ("training_batches",),
        },
    )

__all__ = [
    "ANALYSES",
    "MODELS",
    "OBJECTIVES",
    "Analysis",
    "AnalysisResult",
    "AttentionConfig",
    "Block",
    "DataShape",
    "Decoded",
    "Evaluator",
    "Findings",
    "Graph",
    "LinearProbe",
    "LlamaConfig",
    "LoadedRun",
    "MeasureInfo",
    "ModelConfig",
    "ModelShape",
    "NextTokenModel",
    "NextTokenPath",
    "Objective",
    "ObjectiveConfig",
    "OptimiserStep",
    "PositionCache",
    "ProbeData",
    "RunFolder",
    "RunLayers",
    "RunParts",
    "RunSpec",
    "SizedConfig",
    "StoredRun",
    "Targets",
    "TensorBatch",
    "Term",
    "TrainingConfig",
    "Trunk",
    "TrunkCache",
    "Window",
    "assemble",
    "build_objective",
    "build_trunk",
    "check_model",
    "check_objective",
    "count_parameters",
    "decode",
    "fit_probe",
    "load_run",
    "parse_spec",
    "read_spec",
    "train",
    "training_batches",
]
