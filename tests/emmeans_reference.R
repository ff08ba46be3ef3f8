# Marginal means by emmeans: writes emmeans_reference.json beside this file.
# R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5.2, emmeans 1.8.4-1, mvtnorm 1.1-3.
#
#   Rscript tests/emmeans_reference.R        (from the root of the repository)
suppressMessages({library(lme4); library(lmerTest); library(emmeans); library(jsonlite)})
set.seed(20240229)  # mvtnorm integrates by randomised quasi-Monte Carlo
emm_options(lmer.df = "satterthwaite")
read <- function(name) read.csv(file.path("datasets", paste0(name, ".csv")), stringsAsFactors = TRUE)
exact <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-3, rhoend = 1e-11, maxfun = 1e5))
table_of <- function(x, ...) {
  s <- as.data.frame(summary(x, infer = c(TRUE, TRUE), ...))
  d <- s[sapply(s, is.numeric) | sapply(s, is.factor) | sapply(s, is.character)]
  names(d) <- gsub("[.]", "_", names(d))
  names(d)[names(d) %in% c("lower_CL", "asymp_LCL")] <- "lower"
  names(d)[names(d) %in% c("upper_CL", "asymp_UCL")] <- "upper"
  names(d)[names(d) %in% c("t_ratio", "z_ratio")] <- "statistic"
  names(d)[names(d) %in% c("emmean", "response", "rate", "ratio", "odds_ratio") |
           grepl("_trend$", names(d))] <- "estimate"
  for (j in names(d)) if (is.factor(d[[j]])) d[[j]] <- as.character(d[[j]])
  d
}
out <- list()

# Oats without every seventh row: unbalanced, all cells filled.
oats <- read("oats")
part <- oats[seq_len(nrow(oats)) %% 7 != 0, ]
m <- lmer(yield ~ nitro_f * variety + (1 | block/variety), part, control = exact)
for (w in c("equal", "proportional", "outer", "cells", "flat")) {
  out[[paste0("oats_weights_", w)]] <- table_of(emmeans(m, ~ variety, weights = w))
}
out$oats_kr <- table_of(emmeans(m, ~ nitro_f | variety, lmer.df = "kenward-roger"))
e <- emmeans(m, ~ nitro_f)
for (method in c("pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "eff", "del.eff",
                 "consec", "mean_chg", "poly")) {
  out[[paste0("oats_contrast_", method)]] <- table_of(contrast(e, method), adjust = "none")
}
out$oats_custom <- table_of(contrast(e, list(linear = c(-3, -1, 1, 3), first = c(-1, 1, 0, 0))))
for (adjust in c("tukey", "scheffe", "sidak", "bonferroni", "holm", "fdr", "mvt")) {
  out[[paste0("oats_adjust_", adjust)]] <- table_of(pairs(e), adjust = adjust)
}
out$oats_dunnett <- table_of(contrast(e, "trt.vs.ctrl", adjust = "mvt"))
out$oats_means_sidak <- table_of(e, adjust = "sidak")
out$oats_interaction <- table_of(
  contrast(emmeans(m, ~ nitro_f * variety), interaction = c("consec", "pairwise")))
out$oats_joint_tests <- as.data.frame(joint_tests(m))
out$oats_joint_tests_by <- as.data.frame(joint_tests(m, by = "variety"))
out$oats_one_sided <- table_of(e, side = ">", null = 100)

# The same with an empty cell.
hole <- part[!(part$variety == "Victory" & part$nitro_f == "n0.6"), ]
m <- suppressMessages(lmer(yield ~ nitro_f * variety + (1 | block/variety), hole, control = exact))
out$hole_cells <- table_of(emmeans(m, ~ nitro_f | variety))
out$hole_means <- table_of(emmeans(m, ~ variety))
out$hole_weighted <- table_of(emmeans(m, ~ variety, weights = "cells"))
out$hole_flat <- table_of(emmeans(m, ~ variety, weights = "flat"))
out$hole_pairs <- table_of(pairs(emmeans(m, ~ nitro_f | variety)), adjust = "none")
out$hole_joint_tests <- as.data.frame(joint_tests(m))

# Covariates: slopes, chosen values, a polynomial, a factor made of numbers.
orthodont <- read("orthodont")
m <- lmer(distance ~ age * sex + (1 | subject), orthodont, control = exact)
out$slopes <- table_of(emtrends(m, ~ sex, var = "age"))
out$slope_pairs <- table_of(pairs(emtrends(m, ~ sex, var = "age")))
out$chosen <- table_of(emmeans(m, ~ sex * age, at = list(age = c(9, 13))))
out$chosen_pairs <- table_of(pairs(emmeans(m, ~ age | sex, at = list(age = c(9, 11, 13)))))
out$averaged_over_chosen <- table_of(emmeans(m, ~ sex, at = list(age = c(8, 9))))
out$orthodont_joint_tests <- as.data.frame(joint_tests(m))
m <- lmer(distance ~ factor(age) + sex + (1 | subject), orthodont, control = exact)
out$coded <- table_of(emmeans(m, ~ age))
sleep <- read("sleepstudy")
m <- lmer(reaction ~ poly(days, 2) + (days | subject), sleep, control = exact)
out$poly_mean <- table_of(emmeans(m, ~ days))
out$poly_slopes <- table_of(emtrends(m, ~ days, var = "days", at = list(days = c(1, 5)),
                                     delta.var = 1e-4))

# A transformed response.
m <- lmer(log(reaction) ~ days_f + (1 | subject), sleep, control = exact)
out$log_response <- table_of(emmeans(m, ~ days_f, type = "response"))
out$log_ratios <- table_of(contrast(emmeans(m, ~ days_f, type = "response"), "trt.vs.ctrl",
                                    adjust = "none"))

writeLines(toJSON(out, digits = I(15), na = "null", pretty = FALSE, dataframe = "rows"),
           "tests/emmeans_reference.json")
