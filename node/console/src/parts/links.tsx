/** Mantine's looks on the router's links, so that every link is a real `<a href>`. */
import { Anchor, type AnchorProps, Button, type ButtonProps, NavLink, type NavLinkProps } from '@mantine/core';
import { createLink } from '@tanstack/react-router';
import { type AnchorHTMLAttributes, forwardRef } from 'react';

type Plain<T> = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof T>;

export const TextLink = createLink(
  forwardRef<HTMLAnchorElement, AnchorProps & Plain<AnchorProps>>((props, ref) => <Anchor ref={ref} {...props} />),
);
export const ButtonLink = createLink(
  forwardRef<HTMLAnchorElement, ButtonProps & Plain<ButtonProps>>((props, ref) => (
    <Button component="a" ref={ref} {...props} />
  )),
);
export const MenuLink = createLink(
  forwardRef<HTMLAnchorElement, NavLinkProps & Plain<NavLinkProps>>((props, ref) => (
    <NavLink component="a" ref={ref} {...props} />
  )),
);
