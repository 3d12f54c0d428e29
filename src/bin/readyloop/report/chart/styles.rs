//! Line styles: color, marker and dashes, so that lines differ also in grayscale and for color-blind readers.

/// The color, marker and dashes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineStyle {
    place: usize,
}

/// The number of colors in `chart.css`.
const COLORS: usize = 6;

/// Dash patterns of SVG; the first line is solid.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

impl LineStyle {
    /// The style of the line at this index. The combinations repeat only after more lines than a chart has.
    pub(crate) const fn nth(place: usize) -> Self {
        Self { place }
    }

    /// The CSS class of its color.
    pub(super) fn class(self) -> String {
        format!("style-{}", self.place % COLORS)
    }

    /// Its dash pattern in the syntax of SVG.
    pub(super) fn dashes(self) -> &'static str {
        DASHES[(self.place + self.place / COLORS) % DASHES.len()]
    }

    /// The path of its marker around a point, about eight units wide.
    pub(super) fn marker(self, x: f64, y: f64) -> String {
        let shape = match (self.place + self.place / COLORS) % COLORS {
            0 => "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
            1 => "m-3.5-3.5h7v7h-7z",
            2 => "m0-4.7l4.4 7.9h-8.8z",
            3 => "m0-5l5 5l-5 5l-5-5z",
            4 => "m-2-4.5l2 2l2-2l2.5 2.5l-2 2l2 2l-2.5 2.5l-2-2l-2 2l-2.5-2.5l2-2l-2-2z",
            _ => "m0 4.7l4.4-7.9h-8.8z",
        };
        format!("M{x:.1} {y:.1}{shape}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_have_different_styles() {
        let styles: Vec<_> = (0..20)
            .map(|place| {
                let style = LineStyle::nth(place);
                (style.class(), style.dashes(), style.marker(0.0, 0.0))
            })
            .collect();
        for (place, style) in styles.iter().enumerate() {
            assert!(!styles[..place].contains(style), "{style:?} comes twice");
        }
    }

    /// The relative luminance of a color such as `#0063a6`, between 0 and 1 (WCAG 2.2).
    fn luminance(color: &str) -> f64 {
        let digits = color.trim_start_matches('#');
        let digits = if digits.len() == 3 { digits.replace('f', "ff") } else { digits.to_owned() };
        let part = |at: usize| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
    }

    #[test]
    fn every_color_has_enough_contrast_in_light_and_dark() {
        let themes: Vec<&str> = super::super::STYLE.split("@media").collect();
        assert_eq!(themes.len(), 2);
        for theme in themes {
            let value = |name: &str, property: &str| {
                let (_, rest) = theme.split_once(&format!("{name}{{{property}:")).unwrap();
                luminance(rest.split('}').next().unwrap())
            };
            let paper = value(".chart .paper", "fill");
            for place in 0..COLORS {
                let color = value(&format!(".{}", LineStyle::nth(place).class()), "color");
                let contrast = (paper.max(color) + 0.05) / (paper.min(color) + 0.05);
                // The minimum of WCAG for text.
                assert!(contrast > 4.5, "style {place}: {contrast}");
            }
        }
    }
}
