"""What albumentations' schemas do not say: titles, groups, units, practical ends of sliders, and why some transforms are left out."""

from __future__ import annotations

_MASKS = "needs masks, boxes or key points, which image classification does not have"
_REFERENCE = "needs other images as reference, given as Python objects"
_VOLUME = "works on volumes, not on pictures"
_SPECTRUM = "works on spectrograms, not on pictures"
_TYPE = "changes the type of the numbers, which the network's own input step does on the device"

LEFT_OUT = {
    "AtLeastOneBBoxRandomCrop": _MASKS,
    "BBoxSafeRandomCrop": _MASKS,
    "CenterCrop3D": _VOLUME,
    "CoarseDropout3D": _VOLUME,
    "ConstrainedCoarseDropout": _MASKS,
    "Crop": "cuts at fixed pixels, which is right for images of one size only",
    "CropNonEmptyMaskIfExists": _MASKS,
    "CubicSymmetry": _VOLUME,
    "FDA": _REFERENCE,
    "FrequencyMasking": _SPECTRUM,
    "FromFloat": _TYPE,
    "HistogramMatching": _REFERENCE,
    "Lambda": "runs Python code, which an experiment never holds",
    "MaskDropout": _MASKS,
    "Mosaic": "needs other images with their labels, given as Python objects; CutMix combines images and their labels",
    "NoOp": "does nothing",
    "Normalize": _TYPE,
    "OverlayElements": _REFERENCE,
    "Pad3D": _VOLUME,
    "PadIfNeeded3D": _VOLUME,
    "PixelDistributionAdaptation": _REFERENCE,
    "RandomCrop3D": _VOLUME,
    "RandomCropNearBBox": _MASKS,
    "RandomSizedBBoxSafeCrop": _MASKS,
    "RandomSizedCrop": "its heights in pixels must fit every image; Random resized crop does the same by share of the area",
    "TextImage": "needs a font file and texts in the data of every image",
    "TimeMasking": _SPECTRUM,
    "TimeReverse": _SPECTRUM,
    "ToFloat": _TYPE,
    "ToRGB": "turns grey into colour, which reading an image does already",
    "ToTensor3D": _VOLUME,
    "ToTensorV2": _TYPE,
    "Transform3D": _VOLUME,
}

# Parameters that have no effect on pictures, or that no form can express; an import may name them, and they are dropped.
UNUSED_PARAMS = frozenset({
    "fill_mask", "mask_interpolation", "mask_fill_value", "mask_drop_value", "keypoint_remapping_method", "metadata_key", "read_fn",
    "reference_images", "rotate_method",
    "AdditiveNoise.noise_params",  # a free table that depends on the kind of noise
    "Equalize.mask", "Equalize.mask_params",
    "LongestMaxSize.max_size_hw", "SmallestMaxSize.max_size_hw",
    "ToGray.num_output_channels",
})  # fmt: skip

GROUPS = {
    "AdditiveNoise": "blur and noise", "GaussNoise": "blur and noise", "ISONoise": "blur and noise", "MultiplicativeNoise": "blur and noise",
    "SaltAndPepper": "blur and noise", "ShotNoise": "blur and noise", "RingingOvershoot": "blur and noise", "Sharpen": "blur and noise",
    "UnsharpMask": "blur and noise", "Emboss": "blur and noise", "ChromaticAberration": "blur and noise", "Superpixels": "blur and noise",
    "Downscale": "compression", "ImageCompression": "compression", "Posterize": "compression",
    "RandomFog": "weather", "RandomGravel": "weather", "RandomRain": "weather", "RandomShadow": "weather", "RandomSnow": "weather",
    "RandomSunFlare": "weather", "Spatter": "weather", "PlasmaShadow": "weather",
    "ChannelDropout": "colour", "PixelDropout": "occlusion", "RandomGridShuffle": "occlusion", "Morphological": "blur and noise",
}  # fmt: skip

TITLES = {
    "Affine": "Rotate, zoom, shift, shear", "CLAHE": "CLAHE", "D4": "D4 symmetry", "ISONoise": "ISO noise", "RGBShift": "RGB shift",
    "FancyPCA": "Fancy PCA", "HEStain": "H&E stain", "InvertImg": "Invert", "ColorJitter": "Colour jitter", "CenterCrop": "Centre crop",
    "Equalize": "Equalise", "GaussNoise": "Gaussian noise", "XYMasking": "Stripes masked", "ToGray": "To grey", "ToSepia": "To sepia",
    "HueSaturationValue": "Hue, saturation, value", "RandomBrightnessContrast": "Brightness and contrast", "HorizontalFlip": "Mirror",
    "VerticalFlip": "Flip upside down", "RandomRotate90": "Quarter turns", "ShiftScaleRotate": "Shift, scale, rotate",
    "CoarseDropout": "Covered patches", "Perspective": "Perspective", "ElasticTransform": "Elastic", "RandomGamma": "Gamma",
    "SquareSymmetry": "Square symmetry", "Solarize": "Solarise", "Posterize": "Posterise", "PlanckianJitter": "Colour temperature",
    "PlasmaBrightnessContrast": "Plasma brightness, contrast", "RandomToneCurve": "Tone curve", "RandomFog": "Fog", "RandomRain": "Rain",
    "RandomSnow": "Snow", "RandomGravel": "Gravel", "RandomShadow": "Shadow", "RandomSunFlare": "Sun flare",
}  # fmt: skip

PARAM_TITLES = {
    "RandomResizedCrop.scale": "Area kept", "RandomResizedCrop.ratio": "Proportion",
    "RandomResizedCrop.interpolation": "Enlarging", "RandomResizedCrop.area_for_downscale": "Shrinking",
    "fill": "Fill", "border_mode": "Border", "interpolation": "Filter", "rotate": "Rotate", "limit": "Angle", "blur_limit": "Kernel",
    "sigma_limit": "Sigma", "quality_range": "Quality", "scale_range": "Scale", "dropout_prob": "Share dropped", "p_replace": "Share replaced",
    "translate_percent": "Shift", "translate_px": "Shift in pixels", "color": "Colour", "drop_color": "Drop colour", "src_color": "Colour",
    "area_for_downscale": "Averaging", "hue_shift_limit": "Hue", "sat_shift_limit": "Saturation", "val_shift_limit": "Value",
    "brightness_limit": "Brightness", "contrast_limit": "Contrast", "num_holes_range": "Patches", "hole_height_range": "Patch height",
    "hole_width_range": "Patch width", "std_range": "Strength", "mean_range": "Mean", "per_channel": "Per channel", "num_bits": "Bits",
}  # fmt: skip

UNITS = {
    "rotate": "°", "limit": "°", "rotate_limit": "°", "shear": "°", "angle_range": "°", "slant_range": "°", "blur_limit": "px",
    "translate_px": "px", "px": "px", "max_delta": "px", "drop_length": "px", "drop_width": "px", "mask_x_length": "px", "mask_y_length": "px",
    "src_radius": "px", "magnitude": "px", "radius": "px", "temperature_limit": "K", "num_bits": "bits",
    "GaussianBlur.sigma_limit": "px", "ElasticTransform.sigma": "px", "kernel_size": "px", "unit_size_range": "px", "shift_xy": "px",
    "RandomSunFlare.angle_range": "", "OpticalDistortion.limit": "", "padding": "px",
}  # fmt: skip

# Bounds that the schemas do not hold but the code does.
BOUNDS = {
    "GaussianBlur.sigma_limit": (0.1, None),  # 0 gives a black picture
    "Posterize.num_bits": (1, 7), "ColorJitter.brightness": (0, None), "ColorJitter.contrast": (0, None), "ColorJitter.saturation": (0, None),
    "ColorJitter.hue": (-0.5, 0.5), "Affine.scale": (0.01, None), "Blur.blur_limit": (3, None), "MedianBlur.blur_limit": (3, None),
    "MotionBlur.blur_limit": (3, None), "RandomScale.scale_limit": (-0.95, None), "ShiftScaleRotate.scale_limit": (-0.95, None),
    "AdvancedBlur.blur_limit": (3, None), "UnsharpMask.blur_limit": (3, None), "RingingOvershoot.blur_limit": (3, None),
    "PiecewiseAffine.nb_rows": (2, None), "PiecewiseAffine.nb_cols": (2, None), "CropAndPad.percent": (-0.95, None),
    "RandomShadow.shadow_roi": (0, 1), "RandomSunFlare.flare_roi": (0, 1), "RandomGravel.gravel_roi": (0, 1),
    "RandomRain.slant_range": (-20, 20), "MotionBlur.angle_range": (0, 360), "PlanckianJitter.temperature_limit": (3000, 15000),
    "Pad.padding": (0, None), "RandomRain.drop_length": (1, None), "HueSaturationValue.hue_shift_limit": (-180, 180),
    "RingingOvershoot.cutoff": (0, 3.141592653589793), "Spatter.intensity": (0, 1), "Spatter.mean": (0, 1), "Spatter.std": (0, 1),
    "Spatter.cutout_threshold": (0, 1), "XYMasking.mask_x_length": (0, None), "XYMasking.mask_y_length": (0, None),
    "MotionBlur.direction_range": (-1, 1), "GridDropout.unit_size_range": (2, None),
}  # fmt: skip

# Where sliders end, for parameters that have no bound or one that is far beyond use.
SOFT = {
    "blur_limit": (3, 31), "GaussianBlur.blur_limit": (0, 31), "hole_height_range": (0.01, 0.9), "hole_width_range": (0.01, 0.9),
    "Erasing.scale": (0.01, 0.9), "GaussianBlur.sigma_limit": (0.1, 8.0), "sigma_limit": (0.0, 8.0), "rotate": (-180.0, 180.0), "limit": (-180.0, 180.0), "rotate_limit": (-180.0, 180.0),
    "shear": (-45.0, 45.0), "Affine.scale": (0.25, 2.0), "translate_percent": (-0.5, 0.5), "translate_px": (-100, 100),
    "ShiftScaleRotate.scale_limit": (-0.75, 1.0), "RandomScale.scale_limit": (-0.75, 1.0), "shift_limit": (-0.5, 0.5),
    "shift_limit_x": (-0.5, 0.5), "shift_limit_y": (-0.5, 0.5), "RandomResizedCrop.scale": (0.01, 1.0), "RandomResizedCrop.ratio": (0.33, 3.0),
    "CropAndPad.percent": (-0.5, 0.5), "px": (-64, 64), "ElasticTransform.alpha": (0.0, 300.0), "ElasticTransform.sigma": (1.0, 100.0),
    "magnitude": (1, 50), "Perspective.scale": (0.0, 0.5), "PiecewiseAffine.scale": (0.0, 0.1), "ThinPlateSpline.scale_range": (0.0, 1.0),
    "GridDistortion.distort_limit": (-0.9, 0.9), "OpticalDistortion.distort_limit": (-1.0, 1.0), "GridDistortion.num_steps": (1, 20),
    "brightness_limit": (-1.0, 1.0), "contrast_limit": (-1.0, 1.0), "ColorJitter.brightness": (0.0, 2.0), "ColorJitter.contrast": (0.0, 2.0),
    "ColorJitter.saturation": (0.0, 2.0), "ColorJitter.hue": (-0.5, 0.5), "hue_shift_limit": (-180.0, 180.0), "sat_shift_limit": (-255.0, 255.0),
    "val_shift_limit": (-255.0, 255.0), "r_shift_limit": (-255.0, 255.0), "g_shift_limit": (-255.0, 255.0), "b_shift_limit": (-255.0, 255.0),
    "gamma_limit": (1.0, 400.0), "clip_limit": (1.0, 40.0), "tile_grid_size": (1, 32), "num_holes_range": (1, 32), "Erasing.ratio": (0.1, 10.0),
    "grid": (1, 10), "num_grid_xy": (1, 16), "radius": (1, 15), "alias_blur": (0.0, 2.0), "max_factor": (1.0, 2.0), "step_factor": (0.01, 0.2),
    "multiplier": (0.1, 3.0), "scale_range": (0.01, 1.0), "ShotNoise.scale_range": (0.01, 2.0), "color_shift": (0.0, 1.0), "n_segments": (1, 300), "max_size": (16, 512),
    "num_flare_circles_range": (0, 20), "src_radius": (2, 600), "num_shadows_limit": (1, 10), "shadow_dimension": (3, 20), "drop_length": (1, 60), "drop_width": (1, 10),
    "blur_value": (1, 21), "brightness_coeff": (0.1, 5.0), "number_of_patches": (1, 10), "nb_rows": (2, 8), "nb_cols": (2, 8),
    "num_control_points": (2, 8), "Morphological.scale": (1, 15), "num_masks_x": (0, 8), "num_masks_y": (0, 8), "mask_x_length": (0, 64),
    "mask_y_length": (0, 64), "unit_size_range": (2, 100), "holes_number_xy": (1, 20), "shift_xy": (0, 50), "sigma": (0.1, 5.0),
    "max_delta": (1, 16), "iterations": (1, 4), "kernel_size": (3, 15), "padding": (0, 64), "plasma_size": (8, 512), "roughness": (0.1, 8.0),
    "FancyPCA.alpha": (0.0, 2.0), "UnsharpMask.alpha": (0.0, 1.0), "Emboss.strength": (0.0, 2.0), "Sharpen.lightness": (0.0, 2.0),
    "beta_limit": (0.1, 16.0), "noise_limit": (0.5, 1.5), "sigma_x_limit": (0.1, 8.0), "sigma_y_limit": (0.1, 8.0), "gauss_sigma": (0.5, 8.0),
    "primary_distortion_limit": (-0.2, 0.2), "secondary_distortion_limit": (-0.2, 0.2), "intensity_scale_range": (0.0, 3.0),
    "intensity_shift_range": (-1.0, 1.0), "temperature_limit": (3000, 15000), "Illumination.intensity_range": (0.01, 0.2), "pad_height_divisor": (1, 64),
    "pad_width_divisor": (1, 64), "brightness_range": (-1.0, 1.0), "contrast_range": (-1.0, 1.0),
}  # fmt: skip

CHOICE_TITLES = {
    ("interpolation", 0): "Nearest", ("interpolation", 1): "Linear", ("interpolation", 2): "Cubic", ("interpolation", 3): "Area",
    ("interpolation", 4): "Lanczos", ("interpolation", 5): "Exact linear", ("interpolation", 6): "Exact nearest",
    ("border_mode", 0): "One colour", ("border_mode", 1): "Edge repeated", ("border_mode", 2): "Reflected", ("border_mode", 3): "Wrapped",
    ("border_mode", 4): "Reflected without the edge",
    ("RandomResizedCrop.area_for_downscale", "image"): "As validation shrinks",
    ("RandomResizedCrop.area_for_downscale", "image_mask"): "As validation shrinks, masks too",
    "random": "Random per pixel", "random_uniform": "Random per patch", "inpaint_telea": "Inpainted (Telea)", "inpaint_ns": "Inpainted (Navier-Stokes)",
    "cdf": "CDF", "pil": "PIL", "cv": "OpenCV", "image": "Averaged when shrinking", "image_mask": "Averaged when shrinking, masks too",
}  # fmt: skip


def _number(
    name: str, title: str, help_: str, default: float, low: float, high: float, *, is_whole: bool = True, is_optional: bool = False
):
    return {"name": name, "title": title, "help": help_, "default": default, "kind": "number", "is_whole": is_whole, "low": low, "high": high,
            "is_low_open": False, "is_high_open": False, "slider": [low, high], "is_optional": is_optional, "unit": ""}  # fmt: skip


_BINS = _number("num_magnitude_bins", "Steps of strength", "Into how many steps the strength of an operation is divided.", 31, 2, 100)

POLICY_TEXTS = {
    "compositions": {
        "OneOf": ("One of", "Applies one of its steps, chosen with their probabilities as weights.", []),
        "SomeOf": (
            "Some of", "Applies so many of its steps, chosen with their probabilities as weights.",
            [_number("n", "Number", "How many of the steps are applied.", 1, 1, 32),
             {"name": "replace", "title": "Repeat", "help": "Whether the same step may be chosen twice.", "default": False, "kind": "switch",
              "is_optional": False, "unit": ""}],
        ),
        "Sequential": ("Sequence", "Applies its steps in order, as one of the choices of another step.", []),
    },
    "policies": {
        "TrivialAugment": ("TrivialAugment", "One random operation of random strength. arXiv 2103.10158.", [_BINS]),
        "RandAugment": (
            "RandAugment", "Some random operations of one strength. arXiv 1909.13719.",
            [_number("num_ops", "Operations", "How many operations are applied one after the other.", 2, 1, 8),
             _number("magnitude", "Strength", "The strength of all of them, in steps of strength.", 9, 0, 30), _BINS],
        ),
        "AugMix": (
            "AugMix", "Blends several gently changed copies. arXiv 1912.02781.",
            [_number("severity", "Severity", "The strength of the operations.", 3, 1, 10),
             _number("mixture_width", "Copies", "How many changed copies are blended.", 3, 1, 8),
             _number("alpha", "Alpha", "How even the blend is: Beta and Dirichlet distributions with this parameter.", 1.0, 0.05, 10.0, is_whole=False),
             {"name": "all_ops", "title": "All operations", "help": "Colour and sharpness operations too; the benchmark of the paper leaves them out.",
              "default": True, "kind": "switch", "is_optional": False, "unit": ""}],
        ),
        "AutoAugment": ("AutoAugment", "One of 25 pairs of operations that were learnt on ImageNet. arXiv 1805.09501.", []),
    },
}  # fmt: skip
