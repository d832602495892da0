//! What has to be so after quiet, and what has to happen then when one thing goes wrong.

use std::time::Duration;

use tidegate_vrrp::config::{Router, Version};
use tidegate_vrrp::{State, Tracked};

use super::site::FAULT;
use super::world::World;

/// In each connected part exactly one director is Active for each group, and none stands by that should be it.
pub(super) fn check_settled(world: &World) {
    for director in &world.directors {
        assert_eq!(director.machine.is_idle(), director.stopping);
    }
    for group in world.site.groups() {
        for part in parts(world, &group) {
            let names: Vec<_> = group.iter().map(|router| &*router.name).collect();
            let active = |director: &&usize| world.directors[**director].state(names[0]) == State::Active;
            let eligible: Vec<_> = part
                .iter()
                .copied()
                .filter(|&director| world.directors[director].is_eligible(&group))
                .collect();
            let all: Vec<_> = part.iter().filter(active).copied().collect();
            assert_eq!(all.len(), eligible.len().min(1), "{names:?} in {part:?}: {all:?} are active");
            for &director in &part {
                let expected = match (eligible.contains(&director), all.contains(&director)) {
                    (true, true) => State::Active,
                    (true, false) => State::Backup,
                    (false, _) => State::Initialize,
                };
                for name in &names {
                    let state = world.directors[director].state(name);
                    assert_eq!(state, expected, "{name} on director {director}");
                }
            }
            if let Some(&active) = all.first() {
                eligible.iter().for_each(|&director| check_rank(world, &names, active, director));
            }
        }
    }
}

/// With preemption the highest priority is Active, unless it has handed over by order.
fn check_rank(world: &World, names: &[&str], active: usize, other: usize) {
    let find = |director: usize| {
        let all = world.directors[director].machine.status();
        all.filter(|status| names.contains(&&*status.router.name)).collect::<Vec<_>>()
    };
    let (active, other) = (find(active), find(other));
    // All of a group have the same priority.
    let (first, one) = (&active[0], &other[0]);
    let lets_be =
        other.iter().any(|status| status.yields) || !one.router.preempt && one.router.priority < 255;
    assert!(one.priority <= first.priority || lets_be, "{other:?} behind {active:?}");
}

/// One more thing happens to a director that is Active, and what follows is timed.
pub(super) fn sit(world: &mut World) {
    let groups: Vec<Vec<Router>> =
        world.site.groups().into_iter().map(|group| group.into_iter().cloned().collect()).collect();
    let group = world.random.choice(&groups).unwrap();
    let names: Vec<_> = group.iter().map(|router| router.name.clone()).collect();
    let is_active = |director: &usize| world.directors[*director].state(&names[0]) == State::Active;
    let Some(active) = (0..world.site.directors).find(is_active) else { return };
    let group: Vec<_> = group.iter().collect();
    let part = parts(world, &group).into_iter().find(|part| part.contains(&active)).unwrap();
    let is_successor =
        |&director: &usize| director != active && world.directors[director].is_eligible(&group);
    let successors: Vec<_> = part.into_iter().filter(is_successor).collect();
    let times: Vec<_> = names.iter().map(|name| Times::of(world, name, active, &successors)).collect();
    let longest = |time: fn(&Times) -> Duration| times.iter().map(time).max().unwrap();
    let (down, skew) = (longest(|times| times.down), longest(|times| times.skew));
    // On both ways, and looking at the clock.
    let latency = 2 * (*world.network.delay.end() + world.network.lateness);
    let pause = world.random_time(&(Duration::ZERO..=world.site.interval));
    world.run(pause, |_| ());
    let is_owner = world.directors[active].machine.status().any(|status| status.priority == 255);
    let taken = |world: &World| {
        let takes = |&&director: &&usize| {
            names.iter().all(|name| world.directors[director].state(name) == State::Active)
        };
        successors.iter().find(takes).copied()
    };
    match world.random.u8(..6) {
        0 => lose_two_in_a_row(world),
        1 => {
            world.kill(active);
            world.run(down + latency, |_| ());
            assert!(successors.is_empty() || taken(world).is_some(), "nobody took over within {down:?}");
        }
        2 => {
            let time = down + latency + 4 * world.site.interval;
            world.sleep(active, time);
            world.run(down + latency, |_| ());
            assert!(successors.is_empty() || taken(world).is_some(), "nobody took over within {down:?}");
            world.run(8 * world.site.interval, |_| ());
        }
        how => {
            match how {
                3 if !is_owner => assert!(world.fail_over(active, &names[0])),
                4 => world.track(active, FAULT, Tracked::Down),
                _ => world.stop(active),
            }
            let always_held = |world: &World| {
                for name in &names {
                    let holds = |director: &usize| world.directors[*director].held.contains(name);
                    assert!(
                        (0..world.site.directors).any(|director| holds(&director)),
                        "nobody holds {name}"
                    );
                }
            };
            if successors.is_empty() {
                world.run(longest(|times| times.resignation) + latency, |_| ());
            } else {
                world.run(skew + latency, always_held);
                assert!(taken(world).is_some(), "nobody took over within {skew:?}");
                world.run(20 * world.site.interval, always_held);
            }
            let director = &world.directors[active];
            let keeps = how == 3 && !is_owner && successors.is_empty();
            assert!(names.iter().all(|name| director.held.contains(name) == keeps));
        }
    }
    world.run(40 * world.site.interval, |_| ());
    check_settled(world);
}

/// Fewer than three lost adverts in a row are no reason for anything.
fn lose_two_in_a_row(world: &mut World) {
    world.network.worst_loss = 2;
    world.network.loss = 60;
    let before = world.changes;
    world.run(40 * world.site.interval, |_| ());
    assert_eq!(world.changes, before, "lost adverts have moved something");
    world.network.loss = 0;
}

/// What may pass before a virtual router of an Active director is taken over by the highest of its successors.
struct Times {
    down: Duration,
    skew: Duration,
    resignation: Duration,
}

impl Times {
    fn of(world: &World, name: &str, active: usize, successors: &[usize]) -> Self {
        let find = |director: usize| {
            let mut all = world.directors[director].machine.status();
            all.find(|status| *status.router.name == *name).unwrap()
        };
        let active = find(active).router;
        let highest = successors.iter().map(|&director| find(director).priority).max().unwrap_or(1);
        let unit = if active.version == Version::V2 { Duration::from_secs(1) } else { active.interval };
        let skew = unit * (256 - u32::from(highest)) / 256;
        Self { down: 3 * active.interval + skew, skew, resignation: 4 * active.interval }
    }
}

/// Directors that hear each other for one of these routers at least.
fn parts(world: &World, group: &[&Router]) -> Vec<Vec<usize>> {
    let is_cut = |from, to| {
        group.iter().all(|router| world.network.cut.contains(&(router.interface.clone(), from, to)))
    };
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for director in 0..world.site.directors {
        match parts.iter_mut().find(|part| !is_cut(director, part[0])) {
            Some(part) => part.push(director),
            None => parts.push(vec![director]),
        }
    }
    parts
}
