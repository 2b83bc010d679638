"""From dye to light: how a patient's staining and a slide's scan turn two dye planes into RGB."""

from dataclasses import dataclass

import cv2
import numpy as np

from data.synthetic.canvas import Canvas

# optical density of pure haematoxylin and pure eosin in red, green, blue
_DYES = np.array([[0.65, 0.70, 0.32], [0.12, 0.95, 0.28]])


@dataclass(frozen=True, slots=True)
class Stain:
    """One slide's look: density of full dyes (2, 3) and of the glass (3,), blur in pixels of a 48 px patch."""

    dyes: np.ndarray
    veil: np.ndarray
    focus: float


def patient_stain(rng: np.random.Generator) -> Stain:
    """A laboratory's habit: hue and strength of either dye, tint of the glass. Varies more than tissues do."""
    hue = _DYES + rng.normal(0, [[0.12, 0.09, 0.10], [0.06, 0.10, 0.11]])
    hue = np.clip(hue, 0.02, None)
    hue /= np.linalg.norm(hue, axis=1, keepdims=True)
    strength = np.array([1.45, 0.85]) * np.exp(np.clip(rng.normal(0, 0.28, 2), -0.55, 0.55))
    return Stain(hue * strength[:, None], np.abs(rng.normal(0.03, 0.04, 3)), float(rng.uniform(0.35, 0.65)))


def slide_stain(rng: np.random.Generator, patient: Stain) -> Stain:
    """One slide of that patient: a little thicker or thinner, a little sharper or softer."""
    dyes = patient.dyes * np.exp(rng.normal(0, 0.07, (2, 1)))
    return Stain(dyes, np.abs(patient.veil + rng.normal(0, 0.01, 3)), patient.focus + float(rng.uniform(-0.1, 0.1)))


def photograph(rng: np.random.Generator, canvas: Canvas, stain: Stain) -> np.ndarray:
    """(S, S, 3) uint8 RGB: Beer-Lambert light through the dyed section, its uneven thickness, the scanner's noise."""
    size = canvas.size_px
    dye = np.stack([canvas.haematoxylin, canvas.eosin], axis=2).astype(np.float32)
    spread_px = stain.focus * size / 48 * float(np.exp(rng.uniform(-0.2, 0.2)))
    dye = np.asarray(cv2.GaussianBlur(dye, (0, 0), spread_px), dtype=np.float32)
    thickness = np.exp(rng.normal(0, 0.12, 2)).astype(np.float32) / 255
    light = transmitted(dye * thickness, stain)
    light += rng.standard_normal((size, size, 3), dtype=np.float32) * 2
    return np.asarray(cv2.convertScaleAbs(np.maximum(light, 0)), dtype=np.uint8)


def transmitted(dye: np.ndarray, stain: Stain) -> np.ndarray:
    """(H, W, 3) float32 light, 0 to 245, through `dye` (H, W, 2) float32, 1 being full (Beer-Lambert)."""
    height, width, _ = dye.shape
    density = dye.reshape(-1, 2) @ stain.dyes.astype(np.float32) + stain.veil.astype(np.float32)
    return np.asarray(245 * np.exp(-density.reshape(height, width, 3)), dtype=np.float32)
