"""The identity of a prediction: a mask is used again only where nothing it depends on changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cellharness.config.references import references_in
from cellharness.data.manifest import Case
from cellharness.files import hash_file
from cellharness.methods.child_process import NO_SPACE
from cellharness.provenance import package_versions
from cellharness.running.ledger import Known
from cellharness.running.place import packages_of
from cellharness.running.plan import Plan
from cellharness.vocabulary import SEGMENTED


def prediction_identity(plan: Plan, case: Case, image_sha256: str) -> str:
    """Hash all that a prediction depends on; a mask is used again only under the same hash.

    Parameters
    ----------
    plan : Plan
        The method.
    case : Case
        The case.
    image_sha256 : str
        Of its image as it is now.

    Returns
    -------
    str
        SHA256, 64 hexadecimal digits.
    """
    segmenter = plan.segmenter
    facts = {
        "method": plan.spec.method,
        # A training's result is its hash, among the weights, and not the place where it lies.
        "parameters": {**plan.parameters, **references_in(plan.config.parameters)},
        "resolved": dict(plan.resolved),
        "input": plan.spec.input or plan.info.input,
        "weights": [weights["sha256"] for weights in plan.weights],
        "image": image_sha256,
        "case": "" if segmenter is None or plan.problem else segmenter.case_identity(case),
        "seed": plan.spec.seed,
        "versions": (
            # Of another Python its own version counts too, as it is not the one that is tested.
            {**plan.place.versions, "python": plan.place.python}
            if plan.place is not None
            else package_versions(packages_of(plan.info))
        ),
    }
    if plan.spec.tiles is not None:
        # Only then, so that masks of images in one piece keep the identity that they had.
        facts["tiles"] = plan.spec.tiles.model_dump()
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def is_done(known: Known | None, identity: str, mask: Path, retry_failed: bool) -> bool:
    """Whether a case needs nothing more.

    Parameters
    ----------
    known : Known or None
        Its row of the ledger.
    identity : str
        What it would be made from now.
    mask : Path
        Where its mask should be.
    retry_failed : bool
        Try cases again that have no mask.
    """
    if known is None or known.identity != identity:
        return False
    if known.status in SEGMENTED:
        return mask.is_file() and hash_file(mask) == known.prediction_sha256
    # That the disk was full is nobody's failure but the disk's.
    return not retry_failed and not known.message.startswith(NO_SPACE)
