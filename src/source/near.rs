//! Names that look like one that is not there.

/// So many are named.
const MOST: usize = 5;

/// The names most like `wanted`, best first; all of them where they are few and none is like it, since then
/// the one that was meant is among them.
pub(super) fn near(wanted: &str, names: &[String]) -> Vec<String> {
    let mut ranked: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|name| Some((rank(wanted, name)?, name)))
        .collect();
    ranked.sort();
    if ranked.is_empty() && names.len() <= MOST {
        ranked = names.iter().map(|name| (0, name)).collect();
    }
    let mut near: Vec<String> = ranked.into_iter().map(|(_, name)| name.clone()).collect();
    near.dedup();
    near.truncate(MOST);
    near
}

/// How many letters apart they are, where that is few beside their length, or where one begins the other.
fn rank(wanted: &str, name: &str) -> Option<usize> {
    let (left, right) = (wanted.to_lowercase(), name.to_lowercase());
    let begins = !left.is_empty() && (left.starts_with(&right) || right.starts_with(&left));
    let last = right.rsplit('/').next() == Some(left.as_str());
    let longest = left.chars().count().max(right.chars().count());
    let allowed = (longest / 3).max(1);
    if begins || last {
        return Some(1);
    }
    // The lengths alone say that they are too far apart: this is what most names fall to.
    if left.chars().count().abs_diff(right.chars().count()) > allowed {
        return None;
    }
    Some(distance(&left, &right)).filter(|distance| *distance <= allowed)
}

/// How many letters must be put in, taken out or replaced to turn one into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.chars().enumerate() {
        let mut diagonal = row;
        costs[0] = row + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_letters_to_change() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn the_most_alike_come_first_and_strangers_stay_out() {
        let names: Vec<String> = [
            "main",
            "maine",
            "feature/login",
            "release-1",
            "release-2",
            "zzzzzz",
            "mian",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(near("man", &names), ["main", "mian"]);
        assert_eq!(near("login", &names), ["feature/login"]);
        assert_eq!(near("release", &names), ["release-1", "release-2"]);
        assert_eq!(near("MAIN", &names)[0], "main");
        assert!(near("qqqqqqqqqq", &names).is_empty());
        assert_eq!(near("qqqqqqqqqq", &names[..2]), ["main", "maine"]);
    }
}
