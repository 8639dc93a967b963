use proptest::prelude::*;

use super::super::key::KeyId;
use super::*;

fn request(ticket: u64) -> AcquireRequest {
    of(Caller::default(), ticket)
}

fn of(caller: Caller, ticket: u64) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller,
        demand: Demand::ONE,
        constraint: KeyConstraint::Any,
        deadline: Timestamp::MAX,
        wait_for_keys: false,
    }
}

#[test]
fn caller_is_served_in_ticket_order_across_queues() {
    let (one, two) = (Caller::new(1), Caller::new(2));
    let (mut first, mut second, mut fair) = (WaitQueue::new(), WaitQueue::new(), FairClocks::default());
    first.insert(of(one, 1), (), &mut fair);
    (0..5).for_each(|_| fair.record_grant(two));
    second.insert(of(one, 2), (), &mut fair);
    first.insert(of(one, 3), (), &mut fair);
    first.remove(&of(one, 1), &mut fair);
    let position = |queue: &WaitQueue<()>| queue.head_position(KeyConstraint::Any).unwrap();
    assert!(position(&second) < position(&first));
    second.remove(&of(one, 2), &mut fair);
    first.remove(&of(one, 3), &mut fair);
    // A caller returning from idle starts where a new caller does.
    (0..5).for_each(|_| fair.record_grant(two));
    first.insert(of(one, 4), (), &mut fair);
    second.insert(of(Caller::new(3), 5), (), &mut fair);
    assert_eq!(position(&first).clock, position(&second).clock);
}

/// Grants the head of the queue for any key.
fn serve(queue: &mut WaitQueue<()>, fair: &mut FairClocks) -> Option<AcquireRequest> {
    queue.refresh(KeyConstraint::Any, fair);
    let head = queue.head(KeyConstraint::Any)?;
    fair.record_grant(head.caller);
    queue.remove(&head, fair);
    Some(head)
}

#[test]
fn retry_returns_to_its_old_position() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    for ticket in [7, 9, 3] {
        queue.insert(request(ticket), (), &mut fair);
    }
    let head = |queue: &WaitQueue<()>| queue.head(KeyConstraint::Any).unwrap().ticket;
    assert_eq!(head(&queue), Ticket(3));
    assert_eq!(queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(8)), 2);
    assert_eq!(queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(10)), 3);
    queue.remove(&request(3), &mut fair);
    assert_eq!(head(&queue), Ticket(7));
}

#[test]
fn empty_queue_has_no_heads() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    queue.insert(request(1), (), &mut fair);
    assert_eq!(queue.head(KeyConstraint::Any), Some(request(1)));
    assert_eq!(queue.remove(&request(1), &mut fair), Some(()));
    assert_eq!(queue.remove(&request(1), &mut fair), None);
    assert!(queue.count() == 0 && queue.head(KeyConstraint::Any).is_none() && queue.heads().next().is_none());
}

#[test]
fn single_call_waits_behind_at_most_one_per_other_caller() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    for ticket in 0..700 {
        queue.insert(of(Caller::new(ticket % 7), ticket), (), &mut fair);
    }
    for served in 0..200 {
        let lone = of(Caller::new(99), 1000 + served);
        queue.insert(lone, (), &mut fair);
        let before = std::iter::from_fn(|| serve(&mut queue, &mut fair))
            .take(700)
            .take_while(|head| *head != lone);
        let before: Vec<_> = before.map(|head| head.caller.id).collect();
        let mut distinct = before.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(before.len(), distinct.len(), "{before:?}");
        if queue.count() == 0 {
            return;
        }
    }
}

#[test]
fn callers_share_by_weight_in_ticket_order() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let heavy = Caller { id: 1, weight: 3 };
    let light = Caller { id: 2, weight: 1 };
    for ticket in 0..400 {
        queue.insert(
            of(if ticket % 2 == 0 { heavy } else { light }, ticket),
            (),
            &mut fair,
        );
    }
    let served: Vec<_> = (0..200).map(|_| serve(&mut queue, &mut fair).unwrap()).collect();
    let of_heavy = served.iter().filter(|served| served.caller == heavy);
    assert_eq!(of_heavy.clone().count(), 150);
    assert!(of_heavy.is_sorted_by_key(|served| served.ticket));
}

#[test]
fn leaving_without_a_grant_costs_the_caller_nothing() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let (one, two) = (Caller::new(1), Caller::new(2));
    for ticket in 0..100 {
        queue.insert(of(one, ticket), (), &mut fair);
    }
    (0..100).for_each(|ticket| {
        queue.remove(&of(one, ticket), &mut fair);
    });
    for ticket in 100..120 {
        queue.insert(of(if ticket < 110 { two } else { one }, ticket), (), &mut fair);
    }
    let first: Vec<_> = (0..4)
        .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
        .collect();
    assert_eq!(first.iter().filter(|id| **id == 1).count(), 2, "{first:?}");
}

#[test]
fn idle_caller_accumulates_no_credit() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let (busy, silent) = (Caller::new(1), Caller::new(2));
    for ticket in 0..500 {
        queue.insert(of(busy, ticket), (), &mut fair);
        serve(&mut queue, &mut fair);
    }
    for ticket in 500..520 {
        queue.insert(
            of(if ticket < 510 { busy } else { silent }, ticket),
            (),
            &mut fair,
        );
    }
    let first: Vec<_> = (0..8)
        .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
        .collect();
    assert_eq!(first.iter().filter(|id| **id == 2).count(), 4, "{first:?}");
}

#[test]
fn single_call_at_a_time_alternates_with_a_backlog() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let (one, backlog) = (Caller::new(1), Caller::new(2));
    for ticket in 0..200 {
        queue.insert(of(backlog, ticket), (), &mut fair);
    }
    let mut of_one = 0;
    for served in 0..200 {
        if !queue.has_waiter_of(one) {
            queue.insert(of(one, 1000 + served), (), &mut fair);
        }
        of_one += usize::from(serve(&mut queue, &mut fair).unwrap().caller == one);
    }
    assert_eq!(of_one, 100);
}

impl<S> WaitQueue<S> {
    fn has_waiter_of(&self, caller: Caller) -> bool {
        let queue = self.queues.get(&KeyConstraint::Any);
        queue.is_some_and(|queue| queue.callers.contains_key(&caller))
    }
}

#[test]
fn ahead_adds_own_requests_and_the_shares_of_others() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let (light, heavy) = (Caller { id: 1, weight: 0 }, Caller { id: 2, weight: 3 });
    for ticket in 0..4 {
        let mut request = of(light, ticket);
        request.demand.requests = 2;
        queue.insert(request, (), &mut fair);
    }
    let ahead =
        |queue: &WaitQueue<()>, caller, ticket| queue.ahead(KeyConstraint::Any, caller, Ticket(ticket));
    for (ticket, expected) in [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8), (9, 8)] {
        assert_eq!(ahead(&queue, light, ticket), expected, "{ticket}");
    }
    for ticket in 10..20 {
        queue.insert(of(heavy, ticket), (), &mut fair);
    }
    for (caller, ticket, expected) in [
        (light, 2, 4 + 2 * 3 - 1),
        (light, 9, 8 + 10),
        (heavy, 99, 10 + 10 / 3 - 1),
        (heavy, 10, 0),
        (Caller::new(3), 99, 0),
    ] {
        assert_eq!(ahead(&queue, caller, ticket), expected, "{caller:?} {ticket}");
    }
    assert_eq!(queue.ahead(KeyConstraint::Key(KeyId(0)), heavy, Ticket(99)), 0);
    queue.remove(&of(light, 1), &mut fair);
    assert_eq!(ahead(&queue, light, 9), 6 + 3 * 3 - 1);
}

#[test]
fn ahead_visits_a_bounded_number_of_requests_and_callers() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let one = Caller::new(0);
    (0..100).for_each(|ticket| queue.insert(of(one, ticket), (), &mut fair));
    let ahead = |queue: &WaitQueue<()>, ticket| queue.ahead(KeyConstraint::Any, one, Ticket(ticket));
    assert_eq!(ahead(&queue, 100), 100);
    assert_eq!(ahead(&queue, 90), MAX_VISITED as u64);
    (100..300).for_each(|ticket| queue.insert(of(Caller::new(ticket), ticket), (), &mut fair));
    assert_eq!(ahead(&queue, 300), 100 + MAX_VISITED as u64);
}

#[test]
fn each_constraint_has_a_head() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    let key = |key| KeyConstraint::Key(KeyId(key));
    let waiting = [
        (5, key(0)),
        (7, KeyConstraint::Any),
        (2, key(0)),
        (3, key(1)),
        (1, key(2)),
    ];
    let mut requests = waiting.map(|(ticket, constraint)| AcquireRequest {
        constraint,
        ..of(Caller::new(ticket), ticket)
    });
    for request in requests {
        queue.insert(request, request.ticket, &mut fair);
    }
    let heads = |queue: &WaitQueue<Ticket>| {
        let heads = queue
            .heads()
            .map(|(constraint, position)| (constraint, position.ticket.0));
        heads.collect::<BTreeMap<_, _>>()
    };
    let first = [(key(2), 1), (key(0), 2), (key(1), 3), (KeyConstraint::Any, 7)];
    assert_eq!(heads(&queue), BTreeMap::from(first));
    assert_eq!(queue.count(), requests.len());
    requests.sort_by_key(|request| request.ticket);
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(heads(&queue)[&request.constraint], request.ticket.0);
        assert_eq!(queue.head(request.constraint), Some(*request));
        let AcquireRequest {
            constraint,
            caller,
            ticket,
            ..
        } = *request;
        let stored = queue.get_mut(constraint, caller, ticket).copied();
        assert_eq!(stored, Some((*request, ticket)));
        assert_eq!(queue.remove(request, &mut fair), Some(ticket));
        assert_eq!(queue.get_mut(constraint, caller, ticket), None);
        assert_eq!(queue.count(), requests.len() - at - 1);
    }
}

#[test]
fn refresh_moves_callers_that_another_queue_served() {
    let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
    for caller in [1, 2, 3].map(Caller::new) {
        queue.insert(of(caller, caller.id), (), &mut fair);
    }
    let mut order = Vec::new();
    for id in [1, 2, 3, 1, 2, 1] {
        fair.record_grant(Caller::new(id));
    }
    for _ in 0..3 {
        order.extend(serve(&mut queue, &mut fair).map(|served| served.caller.id));
    }
    assert_eq!(order, [3, 2, 1]);
    queue.refresh(KeyConstraint::Any, &fair);
}

proptest! {
    /// However requests arrive, leave and are granted, `ahead` never exceeds the number of requests that are served before.
    #[test]
    fn ahead_is_a_lower_bound(
        weights in prop::collection::vec(0_u32..5, 1..5),
        steps in prop::collection::vec((0_usize..5, 1_u32..4, 0_u8..6), 1..150),
    ) {
        let (mut queue, mut fair) = (WaitQueue::new(), FairClocks::default());
        let mut waiting: Vec<AcquireRequest> = Vec::new();
        for (ticket, (caller, requests, action)) in steps.into_iter().enumerate() {
            match action {
                0 if !waiting.is_empty() => {
                    let left = waiting.swap_remove(ticket % waiting.len());
                    queue.remove(&left, &mut fair);
                }
                1 => {
                    let served = serve(&mut queue, &mut fair);
                    waiting.retain(|request| Some(*request) != served);
                }
                _ => {
                    let caller = caller % weights.len();
                    let mut request = of(Caller { id: caller as u64, weight: weights[caller] }, ticket as u64);
                    request.demand.requests = requests;
                    queue.insert(request, (), &mut fair);
                    waiting.push(request);
                }
            }
        }
        let ahead = |request: &AcquireRequest| queue.ahead(KeyConstraint::Any, request.caller, request.ticket);
        let expected: BTreeMap<_, _> = waiting.iter().map(|request| (request.ticket, ahead(request))).collect();
        let mut served = 0;
        for _ in &waiting {
            let request = serve(&mut queue, &mut fair).unwrap();
            prop_assert!(expected[&request.ticket] <= served, "{request:?}: {} > {served}", expected[&request.ticket]);
            served += u64::from(request.demand.requests);
        }
        prop_assert!(queue.count() == 0 && queue.heads().next().is_none());
    }
}
