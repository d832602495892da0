//! Everything that can go wrong, and its end.

use std::time::Duration;

use tidegate_vrrp::Tracked;

use super::site::{FAULT, INTERFACES, NUMBER, WEIGHT, regroup};
use super::world::World;

/// Directors start, and a few times something happens to them or to the network.
pub(super) fn rage(world: &mut World) {
    disturb_network(world);
    for director in 0..world.site.directors {
        world.start(director);
        pause(world, 4);
    }
    for _ in 0..world.random.u8(..12) {
        pause(world, 6);
        disturb(world);
    }
    pause(world, 6);
}

/// The network is calm, if not whole, every director that is on can do its work, and much time passes.
pub(super) fn calm_down(world: &mut World) {
    world.say(0, "quiet from here on");
    let network = &mut world.network;
    (network.loss, network.duplication) = (0, 0);
    // Less than the skew times of two priorities differ, and packets stay in their order.
    let moment = world.site.shortest / 1024;
    (network.delay, network.lateness) = (moment..=moment, moment / 2);
    network.cut.clear();
    match world.random.u8(..4) {
        0 => partition(world, &INTERFACES),
        1 => partition(world, &INTERFACES[..1]),
        _ => {}
    }
    if world.random.u8(..4) == 0 {
        regroup(&mut world.random, &mut world.site.routers);
    }
    for director in 0..world.site.directors {
        world.wake(director);
        match world.random.u8(..16) {
            0 if world.directors[director].on => world.kill(director),
            1 => world.start(director),
            2 => world.track(director, FAULT, Tracked::Down),
            3 => world.link(director, INTERFACES[0], false),
            _ => {}
        }
        let routers = world.site.of_director(&mut world.random, director);
        world.reload(director, routers);
    }
    world.run(40 * world.site.interval, |_| ());
}

fn disturb(world: &mut World) {
    let director = world.random.usize(..world.site.directors);
    let interval = world.site.interval;
    match world.random.u8(..13) {
        0 => disturb_network(world),
        1 => partition(world, &INTERFACES),
        2 => cut_one_way(world),
        3 => world.network.cut.clear(),
        4 => {
            let time = world.random_time(&(Duration::ZERO..=8 * interval));
            world.sleep(director, time);
        }
        5 => world.kill(director),
        6 if !world.directors[director].on || world.directors[director].stopping => world.start(director),
        _ if !world.directors[director].on || world.directors[director].asleep => {}
        7 => {
            let (interface, up) = (world.random.choice(INTERFACES).unwrap(), world.random.bool());
            world.link(director, interface, up);
        }
        8 => {
            let state = world.random.choice([Tracked::Up, Tracked::Down]).unwrap();
            let key = world.random.choice([FAULT, WEIGHT]).unwrap();
            world.track(director, key, state);
        }
        9 => {
            let number = world.random.i32(-100..100);
            world.track(director, NUMBER, Tracked::Number(number));
        }
        10 => {
            let name = world.random.choice(["r0", "r1", "r2", "group", "none"]).unwrap();
            world.fail_over(director, name);
        }
        11 => world.stop(director),
        _ => reload(world, director),
    }
}

/// Other priorities, other addresses, or a virtual router less or with another identity.
fn reload(world: &mut World, director: usize) {
    let mut routers = world.site.of_director(&mut world.random, director);
    let one = world.random.usize(..routers.len());
    match world.random.u8(..4) {
        0 if routers.len() > 1 => drop(routers.remove(one)),
        1 => routers[one].router_id += 10,
        2 => routers[one].addresses = routers[one].addresses.iter().rev().chain(&[]).copied().collect(),
        _ => {}
    }
    world.say(director, "reload");
    world.reload(director, routers);
}

fn disturb_network(world: &mut World) {
    let worst = world.site.interval * world.random.u32(..=2);
    let network = &mut world.network;
    network.loss = world.random.choice([0, 0, 10, 50]).unwrap();
    network.duplication = world.random.choice([0, 0, 20]).unwrap();
    network.delay = Duration::ZERO..=worst;
    network.lateness = world.random.choice([Duration::ZERO, world.site.interval / 20]).unwrap();
}

/// Two parts that do not hear each other on these interfaces.
fn partition(world: &mut World, interfaces: &[&str]) {
    let side = world.random.u8(..);
    let is_left = |director: usize| side & 1 << director == 0;
    for from in 0..world.site.directors {
        for to in (0..world.site.directors).filter(|&to| is_left(to) != is_left(from)) {
            let cuts = interfaces.iter().map(|&interface| (interface.into(), from, to));
            world.network.cut.extend(cuts);
        }
    }
}

fn cut_one_way(world: &mut World) {
    let (from, to) = (world.random.usize(..world.site.directors), world.random.usize(..world.site.directors));
    let interface = world.random.choice(INTERFACES).unwrap();
    world.network.cut.insert((interface.into(), from, to));
}

fn pause(world: &mut World, intervals: u32) {
    let time = world.random_time(&(Duration::ZERO..=intervals * world.site.interval));
    world.run(time, |_| ());
}
