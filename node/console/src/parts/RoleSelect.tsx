import { NativeSelect } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type Held, type Role, type RoleChoice, roles } from '../api/model';
import { customRolesQuery } from '../api/queries';
import { useText } from '../text/TextProvider';

/** What somebody has, as what could be given. */
export function choiceOf(held: Held): RoleChoice {
  return held.custom_role ? { custom_role: held.custom_role.id } : { role: held.role };
}

/** What a role is called. */
export function useRoleName(): (held: Held) => string {
  const { t } = useText();
  return (held) => held.custom_role?.name ?? t(`role.${held.role}`);
}

/** One of the built-in roles, or one of the application's own; says what each may do. */
export function RoleSelect(props: {
  app: string;
  value: RoleChoice;
  /** What a role of the application's own is called, as long as the list of them is not there. */
  name?: string;
  onChange: (role: RoleChoice) => void;
  label?: string;
  ariaLabel?: string;
  disabled?: boolean;
}) {
  const { t } = useText();
  const known = useQuery(customRolesQuery(props.app)).data ?? [];
  const value = 'role' in props.value ? props.value.role : props.value.custom_role;
  const chosen = known.find((role) => role.id === value);
  const own = known.map((role) => ({ value: role.id, label: role.name }));
  if ('custom_role' in props.value && !chosen) own.push({ value, label: props.name ?? '…' });
  const builtIn = roles.map((role) => ({ value: role as string, label: t(`role.${role}`) }));
  const help = () => {
    if ('role' in props.value) return t(`role.${props.value.role}.help`);
    return chosen && (chosen.abilities.map((one) => t(`ability.${one}`)).join(' · ') || t('roles.nothing'));
  };
  return (
    <NativeSelect
      label={props.label}
      aria-label={props.ariaLabel}
      description={props.label ? help() : undefined}
      value={value}
      disabled={props.disabled}
      data={
        own.length === 0
          ? builtIn
          : [
              { group: t('roles.builtIn'), items: builtIn },
              { group: t('roles.own'), items: own },
            ]
      }
      onChange={(event) => {
        const id = event.currentTarget.value;
        props.onChange(roles.includes(id as Role) ? { role: id as Role } : { custom_role: id });
      }}
    />
  );
}
