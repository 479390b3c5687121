"""Text to calibrate a compression with, and text to judge it on.

source ──> documents ──> tokens ──> windows: samples, held out
sources    files, hub    windows    load     judging
           rows          encoder
self   ──> script ──> own_text ──> token_cache
"""

from nanoaccel.calibration.datasets.encoder import TextEncoder
from nanoaccel.calibration.datasets.judging import judging_windows
from nanoaccel.calibration.datasets.load import CalibrationData, load_calibration, windows_of_text
from nanoaccel.calibration.datasets.options import CalibrationOptions
from nanoaccel.calibration.datasets.own_text import write_own_text
from nanoaccel.calibration.datasets.prompt_frame import PromptFrame
from nanoaccel.calibration.datasets.rows import Document
from nanoaccel.calibration.datasets.sources import CalibrationSource, TextSource
from nanoaccel.calibration.datasets.token_cache import cached_windows, token_cache_folder

__all__ = [
    "CalibrationData",
    "CalibrationOptions",
    "CalibrationSource",
    "Document",
    "PromptFrame",
    "TextEncoder",
    "TextSource",
    "cached_windows",
    "judging_windows",
    "load_calibration",
    "token_cache_folder",
    "windows_of_text",
    "write_own_text",
]
