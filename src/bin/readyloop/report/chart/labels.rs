//! Labels at the ends of lines: as near to them as they can be without covering each other.

/// Moves heights apart until each has `room`, none is above `top` or below `bottom` if that can be,
/// and their order is kept. Equal heights keep the order they were given in.
pub(super) fn spread(wanted: &[f64], room: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut placed = wanted.to_vec();
    // Down from the top: each at least one room below the one before.
    let mut least = top;
    for &place in &order {
        placed[place] = wanted[place].max(least);
        least = placed[place] + room;
    }
    // Up from the bottom: what was pushed out comes back and pushes those above.
    let mut most = bottom;
    for &place in order.iter().rev() {
        placed[place] = placed[place].min(most);
        most = placed[place] - room;
    }
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_do_not_meet_stay() {
        assert_eq!(spread(&[50.0, 10.0, 30.0], 10.0, 0.0, 100.0), [50.0, 10.0, 30.0]);
    }

    #[test]
    fn labels_that_meet_move_apart_and_stay_inside() {
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0, 100.0), [50.0, 60.0]);
        assert_eq!(spread(&[100.0, 99.0], 10.0, 0.0, 100.0), [100.0, 90.0]);
        assert!(spread(&[], 10.0, 0.0, 100.0).is_empty());
    }

    proptest! {
        #[test]
        fn none_covers_another(wanted in prop::collection::vec(0.0..200.0_f64, 0..12)) {
            let placed = spread(&wanted, 15.0, 0.0, 200.0);
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 14.999), "{placed:?}");
            prop_assert!(sorted.iter().all(|place| (0.0..=200.0).contains(place)), "{placed:?}");
        }
    }
}
