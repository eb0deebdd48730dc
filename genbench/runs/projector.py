"""Codes for TensorBoard's embedding projector: files in a run's folder that it finds by itself."""

import json
import math
from pathlib import Path

import numpy as np
import torch

from genbench.figures.files import png
from genbench.figures.images import as_bytes, paint
from genbench.utils.files import folder_in, write

LEAST_THUMBNAIL, LARGEST_THUMBNAIL = 24, 64  # pixels


def write_projection(
    folder: Path,
    name: str,
    z: torch.Tensor,
    labels: list[str] | None,
    images: torch.Tensor | None,
    upscaling: str = "bicubic",
) -> None:
    """Write codes z [n, d], with n labels and images [n, ...] as thumbnails where there are any.

    `upscaling` says how thumbnails of small images are enlarged, as in `canvas.Page`.
    """
    folder_in(folder, "projector")
    lines = [f"tensor_name: {json.dumps(name)}", 'tensor_path: "projector/codes.tsv"']
    z = torch.nn.functional.pad(
        z, (0, max(0, 3 - z.shape[1]))
    )  # with fewer than three columns it shows nothing
    write(
        folder / "projector" / "codes.tsv",
        "".join("\t".join(f"{v:.6g}" for v in row) + "\n" for row in z.tolist()).encode(),
    )
    if labels is not None:
        write(
            folder / "projector" / "labels.tsv", "".join(f"{label}\n" for label in labels).encode()
        )
        lines.append('metadata_path: "projector/labels.tsv"')
    if images is not None:
        shrink = min(1, LARGEST_THUMBNAIL / max(images.shape[2:]))
        if shrink < 1:
            images = torch.nn.functional.interpolate(images, scale_factor=shrink, mode="area")
        height, width = images.shape[2:]
        zoom = max(1, LEAST_THUMBNAIL // min(height, width))
        colours = paint(images, zoom=zoom, upscaling=upscaling)
        side = math.ceil(math.sqrt(len(images)))
        colours = np.concatenate(
            [colours, np.ones((-len(colours) % side, *colours.shape[1:]), np.float32)]
        )
        rows = colours.reshape(-1, side, *colours.shape[1:]).swapaxes(1, 2)
        pixels = rows.reshape(len(rows) * height * zoom, side * width * zoom, 3)
        encoded = png(torch.from_numpy(as_bytes(pixels)))
        write(folder / "projector" / "thumbnails.png", encoded)
        size = f"single_image_dim: {width * zoom} single_image_dim: {height * zoom}"
        lines.append(f'sprite {{ image_path: "projector/thumbnails.png" {size} }}')
    write(
        folder / "projector_config.pbtxt",
        ("embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n").encode(),
    )
