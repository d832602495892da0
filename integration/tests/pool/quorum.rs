//! Quorum, hysteresis, sorry server.

use serde_json::json;
use tidegate_integration::client::{Kept, get};
use tidegate_integration::clock::wait_for;
use tidegate_integration::director::Director;
use tidegate_integration::sockets::free_port;
use tidegate_integration::web::Web;

use crate::{PATIENCE, fall_ill, recover, shares, start, wait_for_servers, web};

/// W and whether the quorum is held.
fn quorum(director: &Director) -> (u64, bool) {
    let quorum = director.virtual_server("web")["quorum"].clone();
    (quorum["sum"].as_u64().unwrap(), quorum["held"].as_bool().unwrap())
}

#[test]
fn the_sorry_server_serves_from_the_loss_of_the_quorum_until_it_is_gained() {
    let (pool, sorry, listen) = ([Web::start(), Web::start(), Web::start()], Web::start(), free_port());
    let lines =
        format!("scheduler = \"rr\"\nquorum = 20\nhysteresis = 5\nsorry_server = \"{}\"", sorry.address());
    let director = start(&web(listen, &lines, &pool), &pool);
    let [one, two, three] = &pool;

    let mut status = director.virtual_server("web")["quorum"].clone();
    assert!(status.as_object_mut().unwrap().remove("for_seconds").is_some());
    let arithmetic = json!({
        "held": true, "sum": 30, "quorum": 20, "hysteresis": 5, "gained_at": 25, "lost_below": 15,
    });
    assert_eq!(status, arithmetic);
    wait_for_servers(listen, &[one, two, three]);
    let mut living: Vec<_> = (0..3).map(|_| Kept::connect(listen).unwrap()).collect();
    let before: Vec<_> = living.iter_mut().map(|it| it.get().unwrap()).collect();

    fall_ill(&director, one);
    assert_eq!(quorum(&director), (20, true), "inside the band: as it was");
    wait_for_servers(listen, &[two, three]);

    fall_ill(&director, two);
    assert_eq!(quorum(&director), (10, false));
    wait_for_servers(listen, &[&sorry]);
    assert_eq!(director.virtual_server("web")["sorry_server"]["serving"], true);
    assert_eq!(director.real_server("web", &three.address().to_string())["weight"], 0);
    let after: Vec<_> = living.iter_mut().map(|it| it.get().unwrap()).collect();
    assert_eq!(after, before, "living connections stay where they are");

    recover(&director, one);
    assert_eq!(quorum(&director), (20, false), "inside the band: as it was");
    wait_for_servers(listen, &[&sorry]);

    recover(&director, two);
    assert_eq!(quorum(&director), (30, true));
    wait_for_servers(listen, &[one, two, three]);
    assert_eq!(director.virtual_server("web")["sorry_server"]["serving"], false);
    for words in
        ["quorum lost: new traffic goes to the sorry server", "quorum gained: traffic goes to the pool"]
    {
        assert!(director.log().contains(words), "{words:?} is not in the log:\n{}", director.log());
    }
}

#[test]
fn without_a_sorry_server_the_pool_goes_on_to_the_last() {
    let (pool, listen) = ([Web::start(), Web::start()], free_port());
    // With the protection on, wrong answers of all servers are not taken for the servers' own.
    let lines = "scheduler = \"rr\"\nquorum = 20\noverload = { mode = \"off\" }";
    let director = start(&web(listen, lines, &pool), &pool);

    fall_ill(&director, &pool[0]);
    assert_eq!(quorum(&director), (10, false));
    wait_for_servers(listen, &[&pool[1]]);

    fall_ill(&director, &pool[1]);
    assert_eq!(quorum(&director), (0, false));
    wait_for("clients to be turned away", PATIENCE, || get(listen, "/").is_err().then_some(()));
    assert!(director.virtual_server("web")["listen"][0]["no_destination"].as_u64() > Some(0));

    recover(&director, &pool[0]);
    wait_for_servers(listen, &[&pool[0]]);
    assert_eq!(quorum(&director), (10, false));
    recover(&director, &pool[1]);
    assert_eq!(quorum(&director), (20, true));
    wait_for_servers(listen, &[&pool[0], &pool[1]]);
    assert_eq!(shares(listen, 10).into_values().collect::<Vec<_>>(), [5, 5]);
}
