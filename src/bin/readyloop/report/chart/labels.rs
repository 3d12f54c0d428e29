//! Places labels near the ends of their lines without overlaps.

/// Moves heights apart until they are at least `distance` apart and between `top` and `bottom`, if that is
/// possible. Their order is kept.
pub(super) fn spread(wanted: &[f64], distance: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut placed = wanted.to_vec();
    // Downward: each is at least `distance` below the previous one.
    let mut least = top;
    for &place in &order {
        placed[place] = wanted[place].max(least);
        least = placed[place] + distance;
    }
    // Upward: a label below the bottom moves back and pushes the labels above it.
    let mut most = bottom;
    for &place in order.iter().rev() {
        placed[place] = placed[place].min(most);
        most = placed[place] - distance;
    }
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_do_not_overlap_stay() {
        assert_eq!(spread(&[50.0, 10.0, 30.0], 10.0, 0.0, 100.0), [50.0, 10.0, 30.0]);
    }

    #[test]
    fn labels_that_overlap_move_apart_and_stay_inside() {
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [50.0, 60.0]);
        assert_eq!(spread(&[100.0, 99.0], 10.0, 0.0, 100.0), [100.0, 90.0]);
        assert!(spread(&[], 10.0, 0.0, 100.0).is_empty());
    }

    proptest! {
        #[test]
        fn no_label_covers_another(wanted in prop::collection::vec(0.0..200.0_f64, 0..12)) {
            let placed = spread(&wanted, 15.0, 0.0, 200.0);
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 14.999), "{placed:?}");
            prop_assert!(sorted.iter().all(|place| (0.0..=200.0).contains(place)), "{placed:?}");
        }
    }
}
