# Engine: lme4's lmer. Variants: default (with the finite-difference check of the optimum) and
# noderiv (without it, which is the fit alone).
local({
  script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
  source(file.path(dirname(script), "protocol.R"), local = globalenv())
})

serve("lme4", function(task, frame) {
  library(lme4)
  if (task$method == "laplace") unsupported("linear models only; see glmer")
  formula <- as.formula(task$formula_r)
  reml <- task$method == "reml"
  control <- lmerControl(calc.derivs = arguments$variant == "default")
  list(
    fit = function() {
      fitted <- lmer(formula, frame, REML = reml, control = control)
      list(
        objective = -2 * as.numeric(logLik(fitted)), criterion = task$method,
        converged = fitted@optinfo$conv$opt == 0
      )
    },
    design = function() lFormula(formula, frame, REML = reml)
  )
})
