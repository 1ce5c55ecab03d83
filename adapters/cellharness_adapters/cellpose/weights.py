"""Where Cellpose weights come from. Nothing here imports torch."""

from __future__ import annotations

from cellharness.methods.registry import resolve_weights
from cellharness.weights import HostedWeights, Weights, WheelWeights

_TERMS = "BSD-3-Clause (cellpose); part of the training images is for non-commercial use"

#: The authors' own first weights (January 2020), inside their own wheel.
CYTO = WheelWeights(
    name="cyto",
    requirement="cellpose==0.0.1.6",
    wheel="cellpose-0.0.1.6-py3-none-any.whl",
    wheel_sha256="b24d237cd88ac9dd72f32bf05ae124b5e7d794227a3df757d3e379d253c9c6b3",
    members={
        "network": (
            "cellpose/models/cyto_0",
            "dfc4dd843199e9aacb57cfa81f260b957e0b3e1cef92566db18b93c22a0967cb",
        ),
        "size": (
            "cellpose/models/size_cyto_A.npy",
            "87f6102b50859c945461febba7e6611218761afa47a2761274870f4c3e8d4e57",
        ),
    },
    licence=_TERMS,
    training_data=("Cellpose",),
)


def _hosted(
    name: str, network: str, size: str, data: tuple[str, ...], sha256: str = ""
) -> HostedWeights:
    return HostedWeights(
        name=name,
        base_url="https://www.cellpose.org/models",
        file_names={"network": network, "size": size},
        folder_variable="CELLPOSE_LOCAL_MODELS_PATH",
        default_folder=".cellpose/models",
        licence=_TERMS,
        training_data=data,
        advice="The authors' first weights can be had without that host: weights=cyto.",
        known_sha256={"network": sha256} if sha256 else {},
    )


#: The paper's default (Methods: pre-trained Cellpose).
CYTO2 = _hosted(
    "cyto2", "cyto2torch_0", "size_cyto2torch_0.npy", data=("Cellpose", "Cellpose user images")
)
CYTO3 = _hosted(
    "cyto3",
    "cyto3",
    "size_cyto3.npy",
    data=(
        "Cellpose",
        "Cellpose user images",
        "TissueNet",
        "LiveCell",
        "Omnipose",
        "YeaZ",
        "DeepBacs",
    ),
    sha256="2dc3087a8abd7da46d1ab0ddd5824639933cc3ff63b382af3fa1939a392db93c",
)
NUCLEI = _hosted(
    "nuclei", "nucleitorch_0", "size_nucleitorch_0.npy", data=("Cellpose nuclei", "DSB2018")
)


def diam_mean_of(weights: Weights) -> float:
    """Diameter in px to which the cells were rescaled in training.

    The original cyto file is known by its hash, since it does not say so itself and may
    be given as a path; cellpose's torch files carry the value, which then wins.
    """
    if weights.sha256.get("network") == CYTO.members["network"][1]:
        return 27.0
    # A copy of the library's own file is known by its name, as in the library.
    is_nuclei = weights.name in (NUCLEI.name, NUCLEI.file_names["network"])
    return 17.0 if is_nuclei else 30.0


def resolve(name: str) -> Weights:
    """Find weights by registered name or path, or by name in the library's own folder.

    There its GUI keeps the models that users train. Raises as `resolve_weights` does.
    """
    return resolve_weights(name, (CYTO2.folder,))
