//! `RateLimiter` on its own.

use std::{sync::Arc, time::Duration};

use dialogue::{Rate, RateLimiter};

#[test]
fn each_key_has_its_own_rate() {
    let limiter = RateLimiter::new(Rate::new(3, Duration::from_hours(1)));
    assert_eq!(limiter.remaining("ann"), 3);
    for left in [2, 1, 0] {
        limiter.check("ann").unwrap();
        assert_eq!(limiter.remaining("ann"), left);
    }
    let refused = limiter.check("ann").unwrap_err();
    assert!(refused.retry_after > Duration::from_mins(19), "{refused}");
    assert!(refused.retry_after <= Duration::from_mins(20), "{refused}");
    // To be refused costs nothing, and to ask costs nothing.
    assert!(limiter.check("ann").unwrap_err().retry_after <= refused.retry_after);
    assert_eq!(limiter.remaining("bob"), 3);
    limiter.check("bob").unwrap();
    limiter.clear("ann");
    assert_eq!((limiter.remaining("ann"), limiter.remaining("bob")), (3, 2));
}

#[test]
fn what_was_not_used_comes_back_up_to_the_burst() {
    let limiter = RateLimiter::new(Rate::per_second(1_000).burst(2));
    while limiter.check("ann").is_ok() {}
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(limiter.remaining("ann"), 2);
    assert!(limiter.check("ann").is_ok());
}

#[test]
fn keys_that_no_longer_matter_are_forgotten_and_others_are_not() {
    let limiter = RateLimiter::new(Rate::per_second(1_000_000));
    let slow = RateLimiter::new(Rate::new(1, Duration::from_hours(1)));
    for n in 0..100_000 {
        limiter.check(&n.to_string()).unwrap();
    }
    for n in 0..5_000 {
        slow.check(&n.to_string()).unwrap();
    }
    assert!(limiter.keys() < 100_000, "{}", limiter.keys());
    assert_eq!(slow.keys(), 5_000);
    assert!((0..5_000).all(|n| slow.check(&n.to_string()).is_err()));
}

#[test]
fn threads_share_one_rate() {
    let limiter = Arc::new(RateLimiter::new(Rate::new(100, Duration::from_hours(1))));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let limiter = limiter.clone();
            std::thread::spawn(move || (0..100).filter(|_| limiter.check("ann").is_ok()).count())
        })
        .collect();
    let allowed: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(allowed, 100);
}

#[test]
fn a_rate_says_how_often() {
    let rate = Rate::per_minute(30);
    assert_eq!((rate.interval(), rate.at_once().get()), (Duration::from_secs(2), 30));
    assert_eq!(Rate::per_second(10).burst(50).at_once().get(), 50);
}
