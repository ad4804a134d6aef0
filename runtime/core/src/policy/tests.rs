//! Scenarios of the policies.

use super::scenario::run as check;
use super::{Fallback, LaneOrder, Lanes, scenario};
use crate::ids::RequestId;
use crate::scheduler::{Key, Plan, Policy, RequestView, View};
use crate::units::Nanos;
use alloc::boxed::Box;

#[test]
fn greedy_gives_everything_to_the_most_urgent() {
    insta::assert_snapshot!(check("
        policy edf-greedy
        world 4
        shape S 100 60 35
        shape L 400 210 110
        at 0 L steps=4 due=2000
        at 0 S steps=3 due=400
        at 50 S steps=3 due=3000
    "), @r"
    L0: 0 encode {1}; 115 denoise u2 {1,2} x1; 325 denoise u4 {0,1,2,3} x3; 655 decode {0}; done 665 in time
    S1: 0 encode {0}; 10 denoise u4 {0,1,2,3} x3; 115 decode {0}; done 125 in time
    S2: 115 encode {3}; 125 denoise u2 {0,3} x3; 305 decode {0}; done 315 in time
    ");
}

#[test]
fn best_fit_takes_the_narrowest_degree_that_meets_the_deadline_and_widens_with_the_rest() {
    insta::assert_snapshot!(check("
        policy edf-best-fit
        world 4
        shape S 100 60 35
        shape L 400 210 110
        at 0 L steps=4 due=2000
        at 0 S steps=3 due=400
        at 50 S steps=3 due=3000
    "), @r"
    L0: 0 encode {1}; 10 denoise u2 {2,3} x2; 430 denoise u4 {2,3,0,1} x2; 650 decode {2}; done 660 in time
    S1: 0 encode {0}; 10 denoise u2 {0,1} x1; 70 denoise 1 {0} x2; 270 decode {0}; done 280 in time
    S2: 70 encode {1}; 80 denoise 1 {1} x2; 280 denoise u2 {1,0} x1; 340 decode {1}; done 350 in time
    ");
}

#[test]
fn best_fit_without_deadlines_takes_the_widest_that_is_not_slower() {
    insta::assert_snapshot!(check("
        policy edf-best-fit
        world 4
        shape S 100 100 105
        at 0 S steps=2
    "), @"S0: 0 encode {0}; 10 denoise u2 {0,1} x2; 210 decode {0}; done 220");
}

const OVERLOAD: &str = "
    world 1
    shape S 100
    at 0 S steps=5 due=300
    at 0 S steps=2 due=500
    at 0 S steps=2 due=700";

#[test]
fn hopeless_requests_come_first_unless_asked_to_go_last() {
    insta::assert_snapshot!(check(&["policy edf-best-fit", OVERLOAD].concat()), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x5; 510 decode {0}; done 520 late
    S1: 520 encode {0}; 530 denoise 1 {0} x2; 730 decode {0}; done 740 late
    S2: 740 encode {0}; 750 denoise 1 {0} x2; 950 decode {0}; done 960 late
    ");
    insta::assert_snapshot!(
        check(&["policy edf-best-fit hopeless-last=true", OVERLOAD].concat()),
        @r"
        S0: 440 encode {0}; 450 denoise 1 {0} x5; 950 decode {0}; done 960 late
        S1: 0 encode {0}; 10 denoise 1 {0} x2; 210 decode {0}; done 220 in time
        S2: 220 encode {0}; 230 denoise 1 {0} x2; 430 decode {0}; done 440 in time
        "
    );
}

const THREE: &str = "
    world 2
    shape S 100 60
    at 0 S steps=4
    at 10 S steps=3
    at 150 S steps=1";

#[test]
fn lanes_hold_their_ranks_from_encode_to_decode() {
    insta::assert_snapshot!(check(&["policy fcfs degree=2", THREE].concat()), @r"
    S0: 0 encode {0,1}; 10 denoise u2 {0,1} x4; 250 decode {0,1}; done 260
    S1: 260 encode {0,1}; 270 denoise u2 {0,1} x3; 450 decode {0,1}; done 460
    S2: 460 encode {0,1}; 470 denoise u2 {0,1} x1; 530 decode {0,1}; done 540
    ");
    insta::assert_snapshot!(check(&["policy sjf degree=2", THREE].concat()), @r"
    S0: 0 encode {0,1}; 10 denoise u2 {0,1} x4; 250 decode {0,1}; done 260
    S1: 340 encode {0,1}; 350 denoise u2 {0,1} x3; 530 decode {0,1}; done 540
    S2: 260 encode {0,1}; 270 denoise u2 {0,1} x1; 330 decode {0,1}; done 340
    ");
    insta::assert_snapshot!(check(&["policy srtf degree=2", THREE].concat()), @r"
    S0: 0 encode {0,1}; 290 denoise u2 {0,1} x4; 530 decode {0,1}; done 540
    S1: 10 encode {0,1}; 20 denoise u2 {0,1} x3; 200 decode {0,1}; done 210
    S2: 210 encode {0,1}; 220 denoise u2 {0,1} x1; 280 decode {0,1}; done 290
    ");
}

#[test]
fn run_ahead_changes_no_order() {
    let plain = check(&["policy sjf degree=2", THREE].concat());
    assert_eq!(check(&["policy sjf degree=2 run-ahead=true", THREE].concat()), plain);
}

#[test]
fn srtf_keeps_the_running_request_when_remaining_times_are_equal() {
    insta::assert_snapshot!(check("
        policy srtf
        world 1
        shape S 10
        at 0 S steps=3
        at 5 S steps=2
        at 5 S steps=1
    "), @r"
    S0: 0 encode {0}; 40 denoise 1 {0} x3; 70 decode {0}; done 80
    S1: 80 encode {0}; 90 denoise 1 {0} x2; 110 decode {0}; done 120
    S2: 10 encode {0}; 20 denoise 1 {0} x1; 30 decode {0}; done 40
    ");
}

#[test]
fn lanes_shed_what_their_degree_cannot_run() {
    insta::assert_snapshot!(check("
        policy fcfs degree=2
        world 2
        shape S 100 -
        at 0 S steps=3
    "), @"S0: rejected 0 Shed");
}

#[test]
fn a_lost_lane_gives_its_requests_to_the_others() {
    insta::assert_snapshot!(check("
        policy fcfs
        world 2
        shape S 100
        at 0 S steps=2
        at 0 S steps=2
        at 0 S steps=2
        at 150 down 0
        at 500 up 0
        at 500 S steps=1
    "), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x2 lost; 220 encode {1}; 230 denoise 1 {1} x2; 430 decode {1}; done 440
    S1: 0 encode {1}; 10 denoise 1 {1} x2; 210 decode {1}; done 220
    S2: 440 encode {1}; 450 denoise 1 {1} x2; 650 decode {1}; done 660
    S3: 500 encode {0}; 510 denoise 1 {0} x1; 610 decode {0}; done 620
    ");
}

#[test]
fn requests_wait_while_every_lane_is_lost() {
    insta::assert_snapshot!(check("
        policy srtf
        world 1
        shape S 100
        at 0 S steps=2
        at 50 down 0
        at 60 S steps=1
        at 70 S steps=1
        at 80 cancel 2
        at 500 up 0
    "), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x1 lost; 620 encode {0}; 630 denoise 1 {0} x2; 830 decode {0}; done 840
    S1: 500 encode {0}; 510 denoise 1 {0} x1; 610 decode {0}; done 620
    S2: rejected 80 Cancelled
    ");
}

#[test]
fn load_adaptive_admits_wide_when_quiet_and_narrow_when_busy() {
    insta::assert_snapshot!(check("
        policy load-adaptive interarrival=100 backlog=2 cool-down=50
        world 4
        shape S 100 60 35
        at 0 S steps=2
        at 150 S steps=2
        at 200 S steps=2
        at 1000 S steps=2
    "), @r"
    S0: 0 encode {0,1,2,3}; 10 denoise u4 {0,1,2,3} x2; 80 decode {0,1,2,3}; done 90
    S1: 150 encode {0,1,2,3}; 160 denoise u4 {0,1,2,3} x2; 230 decode {0,1,2,3}; done 240
    S2: 240 encode {0}; 250 denoise 1 {0} x2; 450 decode {0}; done 460
    S3: 1000 encode {0,1,2,3}; 1010 denoise u4 {0,1,2,3} x2; 1080 decode {0,1,2,3}; done 1090
    ");
}

#[test]
fn load_adaptive_with_priority_lets_the_important_pass_the_waiting() {
    let requests = "
        world 1
        shape S 100
        at 0 S steps=2
        at 10 S steps=1
        at 20 S steps=1 priority=5";
    insta::assert_snapshot!(check(&["policy load-adaptive", requests].concat()), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x2; 210 decode {0}; done 220
    S1: 220 encode {0}; 230 denoise 1 {0} x1; 330 decode {0}; done 340
    S2: 340 encode {0}; 350 denoise 1 {0} x1; 450 decode {0}; done 460
    ");
    insta::assert_snapshot!(check(&["policy load-adaptive priority=true", requests].concat()), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x2; 210 decode {0}; done 220
    S1: 340 encode {0}; 350 denoise 1 {0} x1; 450 decode {0}; done 460
    S2: 220 encode {0}; 230 denoise 1 {0} x1; 330 decode {0}; done 340
    ");
}

#[test]
fn the_fallback_serves_by_arrival_on_one_rank_each() {
    insta::assert_snapshot!(check("
        policy fallback
        world 2
        shape S 100 60
        shape W - 60
        at 0 S steps=2 due=1
        at 0 W steps=2
        at 0 S steps=1
    "), @r"
    S0: 0 encode {0}; 10 denoise 1 {0} x2; 210 decode {0}; done 220 late
    W1: 0 encode {1}; 220 denoise u2 {1,0} x2; 340 decode {1}; done 350
    S2: 10 encode {1}; 20 denoise 1 {1} x1; 120 decode {1}; done 130
    ");
}

/// Lanes until an instant, the fallback from then on: what a guard does when a policy panics.
struct Switch {
    lanes: Lanes,
    fallback: Fallback,
    at: Nanos,
    switched: bool,
}

impl Policy for Switch {
    fn key(&self, request: &RequestView<'_>) -> Option<Key> {
        if self.switched { self.fallback.key(request) } else { self.lanes.key(request) }
    }
    fn admitted(&mut self, view: &View<'_>, id: RequestId) {
        if !self.switched {
            self.lanes.admitted(view, id);
        }
    }
    fn boundary(&mut self, view: &View<'_>, id: RequestId) {
        if !self.switched {
            self.lanes.boundary(view, id);
        }
    }
    fn decide(&mut self, view: &View<'_>, plan: &mut Plan<'_>) {
        self.switched |= view.now() >= self.at;
        match self.switched {
            true => self.fallback.decide(view, plan),
            false => self.lanes.decide(view, plan),
        }
    }
}

#[test]
fn the_fallback_finds_requests_that_the_policy_before_it_kept_to_itself() {
    let lanes = Lanes::new(LaneOrder::Sjf, 2, 2, false).expect("2 divides 2");
    let (fallback, at) = (Fallback::default(), Nanos::from_millis(100));
    let policy = Box::new(Switch { lanes, fallback, at, switched: false });
    insta::assert_snapshot!(scenario::run_with("
        world 2
        shape S 100 60
        at 0 S steps=3
        at 0 S steps=2
        at 20 S steps=2
        at 150 S steps=1
    ", policy), @r"
    S0: 130 encode {0}; 140 denoise 1 {0} x3; 440 decode {0}; done 450
    S1: 0 encode {0,1}; 10 denoise u2 {0,1} x2; 130 decode {1}; done 140
    S2: 140 encode {1}; 150 denoise 1 {1} x2; 350 decode {1}; done 360
    S3: 360 encode {1}; 370 denoise 1 {1} x1; 470 decode {1}; done 480
    ");
}
