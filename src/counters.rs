//! Counters: structs of numbers that are summed and published as a whole.
//!
//! `counters!` lists each number once, with its help text and the name of its metric. The sum of two
//! structs and the list of metrics come from that list, so a new number cannot be missing in either.

/// One number, with what a reader needs to understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, without the prefix of the program and without the suffix of its kind.
    pub name: &'static str,
    /// What the number counts.
    pub help: &'static str,
    /// Whether the number can fall.
    pub kind: MetricKind,
    /// The name and the value of a label, for one of several numbers with the same name.
    pub label: Option<(&'static str, &'static str)>,
    /// Its value when it was read.
    pub value: u64,
}

/// Whether a number can fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It never falls.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// A struct of numbers that can be published.
pub trait Counters {
    /// Calls `visit` with each number. Numbers with the same name come in a row.
    fn visit(&self, visit: &mut dyn FnMut(Metric));
}

/// Declares a struct of numbers, its sum and its metrics. Every number is a `u64`.
///
/// ```text
/// counters! {
///     pub struct Name {
///         /// The help text.
///         pub field: Counter = "name_of_the_metric",
///         by
///         /// One number for each variant of an enum with `ALL` and `name()`.
///         field: Enum = "name_of_the_metric" as "label",
///         with
///         /// Other counters.
///         pub field: OtherCounters,
///         and
///         /// Not a number: a sum keeps it as it is.
///         pub field: Type,
///     }
/// }
/// ```
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $name_vis:vis struct $name:ident {
            $( $(#[doc = $help:literal])+ $vis:vis $field:ident: $kind:ident = $metric:literal, )*
            $(by $( $(#[doc = $by_help:literal])+ $by_vis:vis $by:ident: $label:ident = $by_metric:literal as $label_name:literal, )*)?
            $(with $( $(#[doc = $with_help:literal])+ $with_vis:vis $with:ident: $with_type:ty, )*)?
            $(and $( $(#[doc = $and_help:literal])+ $and_vis:vis $and:ident: $and_type:ty, )*)?
        }
    ) => {
        $(#[$meta])*
        $name_vis struct $name {
            $( $(#[doc = $help])+ $vis $field: u64, )*
            $($( $(#[doc = $by_help])+ $by_vis $by: [u64; <$label>::ALL.len()], )*)?
            $($( $(#[doc = $with_help])+ $with_vis $with: $with_type, )*)?
            $($( $(#[doc = $and_help])+ $and_vis $and: $and_type, )*)?
        }

        impl std::ops::AddAssign<&Self> for $name {
            fn add_assign(&mut self, other: &Self) {
                $( self.$field += other.$field; )*
                $($( self.$by.iter_mut().zip(other.$by).for_each(|(sum, count)| *sum += count); )*)?
                $($( self.$with += &other.$with; )*)?
            }
        }

        impl $crate::counters::Counters for $name {
            fn visit(&self, visit: &mut dyn FnMut($crate::counters::Metric)) {
                $( visit($crate::counters::Metric {
                    name: $metric,
                    help: concat!($($help),+),
                    kind: $crate::counters::MetricKind::$kind,
                    label: None,
                    value: self.$field,
                }); )*
                $($( for variant in <$label>::ALL {
                    visit($crate::counters::Metric {
                        name: $by_metric,
                        help: concat!($($by_help),+),
                        kind: $crate::counters::MetricKind::Counter,
                        label: Some(($label_name, variant.name())),
                        value: self.$by[variant as usize],
                    });
                } )*)?
                $($( self.$with.visit(visit); )*)?
            }
        }
    };
}

pub(crate) use counters;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Color {
        Red,
        Blue,
    }

    impl Color {
        const ALL: [Self; 2] = [Self::Red, Self::Blue];

        fn name(self) -> &'static str {
            match self {
                Self::Red => "red",
                Self::Blue => "blue",
            }
        }
    }

    counters! {
        #[derive(Clone, Default)]
        struct Inner {
            /// Bytes that wait.
            bytes: Gauge = "bytes",
        }
    }

    counters! {
        #[derive(Clone, Default)]
        struct Outer {
            /// Balls of any color
            /// that were counted.
            balls: Counter = "balls",
            by
            /// Balls by color.
            colored: Color = "colored_balls" as "color",
            with
            /// The bytes of the balls.
            inner: Inner,
            and
            /// Not a number.
            text: String,
        }
    }

    #[test]
    fn every_listed_number_is_summed_and_published() {
        let mut sum = Outer { text: "sum".to_owned(), ..Outer::default() };
        let one = Outer { balls: 1, colored: [2, 3], inner: Inner { bytes: 4 }, text: "one".to_owned() };
        sum += &one;
        sum += &one;
        let mut metrics = Vec::new();
        sum.visit(&mut |metric| metrics.push(metric));
        let seen: Vec<_> = metrics.iter().map(|metric| (metric.name, metric.label, metric.value)).collect();
        let color = |name| Some(("color", name));
        let expected = [
            ("balls", None, 2),
            ("colored_balls", color("red"), 4),
            ("colored_balls", color("blue"), 6),
            ("bytes", None, 8),
        ];
        assert_eq!(seen, expected);
        assert_eq!((metrics[0].help, metrics[3].kind), (" Balls of any color that were counted.", MetricKind::Gauge));
        assert_eq!(sum.text, "sum");
    }
}
