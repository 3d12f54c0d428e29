//! `Lesson`: which lesson of the course explains something.

use std::fmt;

/// Declares the lessons in order, each with its title.
macro_rules! lessons {
    ($($lesson:ident = $title:literal,)*) => {
        /// A lesson of the course in the guide.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Lesson {
            $(#[doc = concat!("About ", $title, ".")] $lesson,)*
        }

        impl Lesson {
            /// All lessons in order.
            pub const ALL: [Self; [$($title),*].len()] = [$(Self::$lesson),*];

            /// What the lesson is about, in lower case.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$lesson => $title,)* }
            }
        }
    };
}

lessons! {
    Blocking = "blocking calls",
    Readiness = "readiness",
    Edges = "edges and levels",
    Frames = "partial reads and frames",
    Queues = "partial writes and queues",
    Backpressure = "backpressure",
    HalfClose = "half-close and close",
    Deadlines = "deadlines",
    Fairness = "fairness",
    Errors = "errors such as EMFILE",
    Wakeups = "wake-ups by other threads",
    Measuring = "measuring",
}

impl Lesson {
    /// The folder of the lessons, from the root of a checkout.
    pub const FOLDER: &str = "src/guide/course/";

    /// The number of the lesson, from 1.
    pub const fn number(self) -> usize {
        self as usize + 1
    }
}

/// Prints as `lesson 7`.
impl fmt::Display for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lesson {}", self.number())
    }
}
