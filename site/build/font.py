"""Makes site/src/norms/math.woff2: the glyphs of STIX Two Math that formulas need, for hosts without a font that stretches roots.

    python3 site/build/font.py stix-two-math-latin-400-normal.woff2    # of @fontsource/stix-two-math 5.3.0; needs fonttools and brotli

Chromium sets what stretches as wide as the widest variant of its sign, used or not: so few variants stay, and a high root is no wider than a low one.
"""

import pathlib
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

UNICODES = "U+20-7E,U+A0,U+B7,U+2C6,U+302,U+391-3A9,U+3B1-3C9,U+2016,U+2018-201D,U+2026,U+2032,U+2061,U+210E,U+2211,U+2212,U+221A,U+221E,U+2264,U+2265,U+1D434-1D467,U+1D6E2-1D71B"
HIGHEST = {"(": 1910, ")": 1910, "[": 1910, "]": 1910, "√": 1900, "∑": 1100}

source, target = sys.argv[1], pathlib.Path(__file__).parent.parent / "src/norms/math.woff2"
font = TTFont(source)
variants = font["MATH"].table.MathVariants
for sign, highest in HIGHEST.items():
    glyph = font.getBestCmap()[ord(sign)]
    construction = variants.VertGlyphConstruction[variants.VertGlyphCoverage.glyphs.index(glyph)]
    records = [each for each in construction.MathGlyphVariantRecord if each.AdvanceMeasurement <= highest]
    construction.MathGlyphVariantRecord, construction.VariantCount = records, len(records)
    construction.GlyphAssembly = None
    if sign == "√":
        width = font["hmtx"][glyph][0]
        for each in records[1:]:
            advance, bearing = font["hmtx"][each.VariantGlyph]
            outline = font["glyf"][each.VariantGlyph]
            outline.coordinates.scale((width / advance, 1))
            outline.recalcBounds(font["glyf"])
            font["hmtx"][each.VariantGlyph] = (width, round(bearing * width / advance))

options = subset.Options(flavor="woff2", hinting=False, layout_features=["ssty", "dtls", "kern", "mark", "mkmk", "ccmp"])
chosen = subset.Subsetter(options)
chosen.populate(unicodes=subset.parse_unicodes(UNICODES))
chosen.subset(font)
subset.save_font(font, str(target), options)
