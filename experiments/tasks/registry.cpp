#include "experiments/tasks/registry.h"

#include <fmt/format.h>

#include "experiments/tasks/copying.h"
#include "experiments/tasks/fuzzy_recall.h"
#include "experiments/tasks/induction.h"
#include "experiments/tasks/listops.h"
#include "experiments/tasks/mqar.h"
#include "experiments/tasks/needle.h"
#include "experiments/tasks/recall.h"
#include "experiments/tasks/selective_copying.h"
#include "experiments/tasks/text.h"
#include "kernels/core/error.h"

namespace attnlab::tasks {

const std::vector<TaskEntry>& builtin_tasks() {
  static const std::vector<TaskEntry> entries = {
      {"mqar", "recall the values of several keys seen before (multi-query associative recall)",
       "Arora et al. 2023, arXiv 2312.04927", mqar_specs(), make_mqar},
      {"induction", "the token that followed the special one before (induction heads)",
       "Gu and Dao 2023, arXiv 2312.00752", induction_specs(), make_induction},
      {"copying", "copy a string, or what follows a key in it",
       "Jelassi et al. 2024, arXiv 2402.01032", copying_specs(), make_copying},
      {"selective_copying", "copy the few data tokens among noise, in order",
       "Gu and Dao 2023, arXiv 2312.00752", selective_copying_specs(), make_selective_copying},
      {"listops", "the value of a nested expression of MIN, MAX, MED and SM",
       "Tay et al. 2020, arXiv 2011.04006", listops_specs(), make_listops},
      {"needle", "the value of one pair in a long haystack, by depth and length",
       "after Hsieh et al. 2024, arXiv 2404.06654", needle_specs(), make_needle},
      {"recall", "the value of each key seen before (MAD in-context recall)",
       "Poli et al. 2024, arXiv 2403.17844", recall_specs(), make_recall},
      {"noisy_recall", "the same with noise between the pairs (MAD)",
       "Poli et al. 2024, arXiv 2403.17844", noisy_recall_specs(), make_noisy_recall},
      {"fuzzy_recall", "the same with keys and values of several tokens (MAD)",
       "Poli et al. 2024, arXiv 2403.17844", fuzzy_recall_specs(), make_fuzzy_recall},
      {"text", "the next byte of a text (language modelling)", "the book in experiments/data",
       text_specs(), make_text},
  };
  return entries;
}

const TaskEntry& task_entry(const std::string& name) {
  std::vector<std::string> known;
  for (const TaskEntry& entry : builtin_tasks()) {
    if (entry.name == name) return entry;
    known.push_back(entry.name);
  }
  throw ConfigError(
      fmt::format("[task] there is no task '{}'.{} Known: {}. See attnlab list tasks.", name,
                  did_you_mean(name, known), join_names(known)));
}

std::unique_ptr<Task> make_task(const std::string& name, const KeyValues& given) {
  const TaskEntry& entry = task_entry(name);
  return entry.make(Keys(entry.name, entry.specs, given));
}

}  // namespace attnlab::tasks
