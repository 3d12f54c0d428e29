//! Looks: by what a line is known among others, in colour, in grey, and by those who see few colours.

/// Colour, marker and dashes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    place: usize,
}

/// How many colours `chart.css` has.
const COLOURS: usize = 6;

/// Dashes and gaps; the first is drawn through.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

impl Look {
    /// The look of the first line, the second, and so on; so many that no chart runs out of them.
    pub(crate) const fn nth(place: usize) -> Self {
        Self { place }
    }

    /// The class that gives it its colour.
    pub(super) fn class(self) -> String {
        format!("look-{}", self.place % COLOURS)
    }

    /// Dashes and gaps, as SVG has them.
    pub(super) fn dashes(self) -> &'static str {
        DASHES[(self.place + self.place / COLOURS) % DASHES.len()]
    }

    /// The outline of its marker around a place, some eight units wide.
    pub(super) fn marker(self, x: f64, y: f64) -> String {
        let shape = match (self.place + self.place / COLOURS) % COLOURS {
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
    fn many_lines_look_all_different() {
        let looks: Vec<_> = (0..20)
            .map(|place| {
                let look = Look::nth(place);
                (look.class(), look.dashes(), look.marker(0.0, 0.0))
            })
            .collect();
        for (place, look) in looks.iter().enumerate() {
            assert!(!looks[..place].contains(look), "{look:?} comes twice");
        }
    }

    #[test]
    fn without_colour_the_first_six_have_markers_of_their_own() {
        let mut markers: Vec<_> = (0..COLOURS).map(|place| Look::nth(place).marker(0.0, 0.0)).collect();
        markers.sort();
        markers.dedup();
        assert_eq!(markers.len(), COLOURS);
    }

    /// How bright a colour such as `#0063a6` is, between 0 and 1 (WCAG 2.2, relative luminance).
    fn luminance(colour: &str) -> f64 {
        let digits = colour.trim_start_matches('#');
        let digits = if digits.len() == 3 { digits.replace('f', "ff") } else { digits.to_owned() };
        let part = |at: usize| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
    }

    #[test]
    fn every_colour_stands_out_from_the_paper_in_light_and_dark() {
        let themes: Vec<&str> = super::super::STYLE.split("@media").collect();
        assert_eq!(themes.len(), 2);
        for theme in themes {
            let value = |name: &str, property: &str| {
                let (_, rest) = theme.split_once(&format!("{name}{{{property}:")).unwrap();
                luminance(rest.split('}').next().unwrap())
            };
            let paper = value(".chart .paper", "fill");
            for place in 0..COLOURS {
                let colour = value(&format!(".{}", Look::nth(place).class()), "color");
                let contrast = (paper.max(colour) + 0.05) / (paper.min(colour) + 0.05);
                // What WCAG asks for text.
                assert!(contrast > 4.5, "look {place}: {contrast}");
            }
        }
    }
}
