#include "hostexec/scheduler.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <utility>

#include "hostexec/machine.h"

namespace attnlab::hostexec {

bool watching = false;
Machine the_machine;

namespace {

Schedule next_schedule;
void end_thread() {
  Machine& m = machine();
  m.current().state = State::kEnded;
  m.warp_of(m.position.thread).runnable &= ~(1u << m.position.thread % kWarp);
  ++m.ended;
  switch_context(m.current().context, m.scheduler);
}

void thread_main() {
  Machine& m = machine();
  m.inside = true;
  watching = true;
  try {
    m.call.body(m.call.argument);
  } catch (const std::exception& error) {
    fail(std::string("exception: ") + error.what());
  }
  watching = false;
  if (!m.current().groups.empty() || !m.current().open_group.empty()) {
    fail("a thread ends without waiting for its copy_async");
  }
  end_thread();
}

void run_thread(int thread) {
  Machine& m = machine();
  m.position.thread = thread;
  m.inside = true;
  switch_context(m.scheduler, m.current().context);
  m.inside = false;
}

/// Lanes that can go on, predicates asked.
std::uint32_t lanes_to_run(int warp_index) {
  Machine& m = machine();
  Warp& warp = m.warps[static_cast<std::size_t>(warp_index)];
  for (std::uint32_t rest = warp.polling; rest != 0; rest &= rest - 1) {
    const int thread = warp_index * kWarp + std::countr_zero(rest);
    if (m.threads[static_cast<std::size_t>(thread)].ready()) make_ready(thread);
  }
  return warp.runnable;
}

/// Warps in the order in which the schedule prefers them now.
const std::vector<int>& preferred_warps() {
  Machine& m = machine();
  static std::vector<int> order;
  const int count = static_cast<int>(m.warps.size());
  order.resize(m.warps.size());
  for (int i = 0; i < count; ++i) {
    int warp = (m.last_warp + 1 + i) % count;
    if (m.schedule.order == Order::kReverse) warp = (m.last_warp + 2 * count - 1 - i) % count;
    if (m.schedule.order == Order::kRunAhead) warp = m.priority[static_cast<std::size_t>(i)];
    order[static_cast<std::size_t>(i)] = warp;
  }
  if (m.schedule.order == Order::kRandom) std::shuffle(order.begin(), order.end(), m.random);
  return order;
}

void run_lanes(int warp, std::uint32_t lanes) {
  Machine& m = machine();
  std::array<int, kWarp> order;
  std::iota(order.begin(), order.end(), 0);
  if (m.schedule.order == Order::kReverse) std::reverse(order.begin(), order.end());
  if (m.schedule.order == Order::kRandom) std::shuffle(order.begin(), order.end(), m.random);
  for (const int lane : order) {
    if ((lanes >> lane & 1u) == 0) continue;
    run_thread(warp * kWarp + lane);
    if (m.failed) return;
  }
}

void run_posted(std::size_t index) {
  Machine& m = machine();
  const auto operation = std::move(m.posted[index]);
  m.posted.erase(m.posted.begin() + static_cast<std::ptrdiff_t>(index));
  operation();
}

/// False where nothing can be done any more.
bool step() {
  Machine& m = machine();
  if (!m.posted.empty() && m.schedule.completion == Completion::kRandom && draw(0.25)) {
    run_posted(m.random() % m.posted.size());
  }
  for (const int warp : preferred_warps()) {
    const std::uint32_t lanes = lanes_to_run(warp);
    if (lanes == 0) continue;
    m.last_warp = warp;
    run_lanes(warp, lanes);
    return true;
  }
  if (m.posted.empty()) return false;
  run_posted(m.schedule.completion == Completion::kRandom ? m.random() % m.posted.size() : 0);
  return true;
}

void reset_block(int index) {
  Machine& m = machine();
  const int count = m.call.threads;
  m.threads.resize(static_cast<std::size_t>(count));
  m.warps.assign(static_cast<std::size_t>(count / kWarp), Warp{});
  for (int i = 0; i < count; ++i) {
    Thread& thread = m.threads[static_cast<std::size_t>(i)];
    thread.state = State::kReady;
    thread.context = make_context(i, thread_main);
    thread.groups.clear();
    thread.open_group.clear();
  }
  for (BarrierState& barrier : m.barriers) {
    barrier.expected = barrier.arrived = barrier.sum = 0;
    barrier.waiting.clear();
    barrier.clock.clear();
  }
  m.posted.clear();
  m.at_end.clear();
  m.extension.reset();
  m.ended = 0;
  m.last_warp = m.schedule.order == Order::kReverse ? 0 : -1;
  m.priority.resize(m.warps.size());
  std::iota(m.priority.begin(), m.priority.end(), 0);
  std::shuffle(m.priority.begin(), m.priority.end(), m.random);
  std::memset(m.position.shared, 0xff, static_cast<std::size_t>(m.call.shared_bytes));
  begin_block_checks(index, count, m.position.shared, m.call.shared_bytes);
}

}  // namespace

void set_schedule(const Schedule& schedule) { next_schedule = schedule; }
const Schedule& schedule() { return next_schedule; }
const Position& position() { return machine().position; }
bool in_kernel() { return machine().inside; }

Unwatched::Unwatched() : previous_(std::exchange(watching, false)) {}
Unwatched::~Unwatched() { watching = previous_; }

void at_block_end(std::function<void()> check) {
  const Unwatched pause;
  machine().at_end.push_back(std::move(check));
}

std::shared_ptr<void>& block_extension() { return machine().extension; }

void run_block(int index) {
  Machine& m = machine();
  reset_block(index);
  while (m.ended < m.call.threads && !m.failed) {
    if (step()) continue;
    m.failed = true;
    m.failure = "deadlock in kernel " + symbol_of(m.call.kernel) + ":" + describe_waiting();
  }
  for (std::size_t i = 0; i < m.at_end.size() && !m.failed; ++i) m.at_end[i]();
  // Operations that nobody waited for still take effect.
  while (!m.posted.empty() && !m.failed) run_posted(0);
}

bool draw(double probability) { return std::bernoulli_distribution(probability)(machine().random); }

void make_ready(int thread) {
  Machine& m = machine();
  Warp& warp = m.warp_of(thread);
  m.threads[static_cast<std::size_t>(thread)].state = State::kReady;
  warp.runnable |= 1u << thread % kWarp;
  warp.polling &= ~(1u << thread % kWarp);
}

void wait_here(State state, std::string_view what, const Site& site) {
  const Unwatched pause;
  Machine& m = machine();
  Thread& thread = m.current();
  thread.state = state;
  thread.what = what;
  thread.site = site;
  const std::uint32_t lane = 1u << m.position.thread % kWarp;
  Warp& warp = m.warp_of(m.position.thread);
  warp.runnable &= ~lane;
  if (state == State::kPredicate) warp.polling |= lane;
  switch_context(thread.context, m.scheduler);
}

void wait_until(const std::function<bool()>& ready, const std::string& what, const Site& site) {
  const Unwatched pause;
  if (ready()) return;
  machine().current().ready = ready;
  wait_here(State::kPredicate, what, site);
}

void post(std::function<void()> operation) {
  const Unwatched pause;
  if (machine().schedule.completion == Completion::kEarliest) {
    operation();
  } else {
    machine().posted.push_back(std::move(operation));
  }
}

void fail(std::string what) {
  watching = false;
  Machine& m = machine();
  if (!m.inside) throw KernelFault("[hostexec] " + what);
  m.failed = true;
  m.failure = describe_position() + ": " + what;
  // The thread is never continued; its stack is used again by the next launch.
  switch_context(m.current().context, m.scheduler);
  std::abort();
}

}  // namespace attnlab::hostexec
